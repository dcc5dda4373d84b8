//! Patroni's REST API.

use super::file;
use crate::tls::{HttpsClient, NoAnswer, TlsError};
use serde_json::Value;
use std::time::Duration;
use tandem_core::patroni::{Member, Settings, Wanted, members};

/// How long Patroni may take to answer. It looks into its etcd first.
const PATIENCE: Duration = Duration::from_secs(3);

/// The REST API of the own member, and of those that it names.
#[derive(Clone, Debug)]
pub struct Patroni {
    client: HttpsClient,
    own: String,
}

/// Why Patroni did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// It did not answer.
    #[error("Patroni at {url} {problem}")]
    Silent {
        /// Where.
        url: String,
        /// What happened.
        problem: NoAnswer,
    },
    /// It answered something else.
    #[error("Patroni at {url} answered {status}")]
    Refused {
        /// Where.
        url: String,
        /// What.
        status: u16,
    },
    /// It is none.
    #[error("{problem}; is {url} Patroni's REST API?")]
    Strange {
        /// Where.
        url: String,
        /// What is wrong.
        problem: tandem_core::patroni::NotConfig,
    },
}

impl Patroni {
    /// For the member of this file.
    ///
    /// # Errors
    /// Where the certificates cannot be used.
    pub fn open(rest: &file::Rest) -> Result<Self, TlsError> {
        let client = HttpsClient::new(&rest.tls.ca, Some((&rest.tls.cert, &rest.tls.key)), PATIENCE)?;
        Ok(Self { client, own: rest.url.trim_end_matches('/').to_owned() })
    }

    async fn get(&self, path: &str) -> Result<(u16, Value, String), RestError> {
        let url = format!("{}{path}", self.own);
        match self.client.get(&url).await {
            Ok((status, _, body)) => Ok((status, serde_json::from_slice(&body).unwrap_or_default(), url)),
            Err(problem) => Err(RestError::Silent { url, problem }),
        }
    }

    async fn whole(&self, path: &str) -> Result<(Value, String), RestError> {
        match self.get(path).await? {
            (200, body, url) => Ok((body, url)),
            (status, _, url) => Err(RestError::Refused { url, status }),
        }
    }

    /// The dynamic configuration.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn settings(&self, wanted: &Wanted) -> Result<Settings, RestError> {
        let (body, url) = self.whole("/config").await?;
        wanted.settings(&body).map_err(|problem| RestError::Strange { url, problem })
    }

    /// The members.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn members(&self) -> Result<Vec<Member>, RestError> {
        let (body, url) = self.whole("/cluster").await?;
        members(&body).map_err(|problem| RestError::Strange { url, problem })
    }

    /// Whether the own member's Patroni has seen that it is paused.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn pause_seen(&self) -> Result<bool, RestError> {
        // Its status tells of the database.
        let (_, body, _) = self.get("/patroni").await?;
        Ok(body["pause"] == Value::Bool(true))
    }

    /// Has the own member's data thrown away and copied from its leader.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn make_anew(&self) -> Result<(), RestError> {
        let url = format!("{}/reinitialize", self.own);
        match self.client.send(http::Method::POST, &url, &serde_json::json!({"force": true})).await {
            Ok((200, _, _)) => Ok(()),
            Ok((status, _, _)) => Err(RestError::Refused { url, status }),
            Err(problem) => Err(RestError::Silent { url, problem }),
        }
    }

    /// Changes the dynamic configuration, at the member that leads where one does.
    ///
    /// # Errors
    /// [`RestError`]; then it may be changed or not.
    pub async fn change(&self, leader: Option<&str>, body: &Value) -> Result<(), RestError> {
        let url = format!("{}/config", leader.unwrap_or(&self.own));
        match self.client.send(http::Method::PATCH, &url, body).await {
            Ok((200, _, _)) => Ok(()),
            Ok((status, _, _)) => Err(RestError::Refused { url, status }),
            Err(problem) => Err(RestError::Silent { url, problem }),
        }
    }
}
