//! `tandem support-bundle`: what a maintainer needs to understand what is wrong, and no secret.
//!
//! No Secret is read. Of objects, only listed fields are taken ([`fields`]); every string and every line of a log goes through
//! [`scrub`]. A site that does not answer is listed as missed.

mod archive;
pub mod args;
mod fields;
mod gather;
mod scrub;
#[cfg(test)]
mod tests;

use crate::arbiter::access::Access;
use crate::arbiter::{now, status};
use crate::doctor;
use crate::doctor::seen::{Seen, SiteSeen};
use crate::exit::Exit;
use crate::language::Lang;
use crate::output;
use archive::Archive;
use args::BundleArgs;
use fields::People;
use gather::Site;
use std::path::PathBuf;
use tandem_arbiter::health::QUOTA;
use tandem_logs::Chain;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}; a file that is there stays: name another with -o")]
pub struct BundleError {
    path: PathBuf,
    source: std::io::Error,
}

/// Takes what there is of the sites, and what the doctor says.
async fn sites(archive: &mut Archive, clients: &[(String, Seen<kube::Client>)], args: &BundleArgs) -> Vec<SiteSeen> {
    let people = People::new(*uuid::Uuid::new_v4().as_bytes());
    for (name, client) in clients {
        match client {
            Err(why) => archive.miss(format!("sites/{name}"), why),
            Ok(client) => {
                let site =
                    Site { client: client.clone(), name, namespace: &args.sites.namespace, lines: args.log_lines };
                site.take(archive, &people).await;
            }
        }
    }
    doctor::sites(clients, &args.sites.namespace).await
}

async fn arbiter(archive: &mut Archive, args: &BundleArgs) {
    let access = match Access::new(&args.access).await {
        Ok(access) => access,
        Err(error) => return archive.miss("arbiter", Chain(&error).to_string()),
    };
    archive.data("arbiter/status.json", &status::gather(&access, QUOTA).await);
    gather::keys(archive, &access).await;
}

/// `tandem support-bundle`.
///
/// # Errors
/// When the file cannot be written. What does not answer is listed in it.
pub async fn run(args: &BundleArgs, lang: Lang) -> Result<Exit, BundleError> {
    let taken = now();
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("tandem-support-{}.tar.gz", taken.strftime("%Y%m%dT%H%M%SZ"))));
    let mut archive = Archive::new(args.max_mib << 20);
    let clients = doctor::clients(&args.sites).await;
    let seen = sites(&mut archive, &clients, args).await;
    arbiter(&mut archive, args).await;
    let view = doctor::arbiter(&args.access, QUOTA).await;
    let (checks, anybody) = doctor::checks(&seen, &view, &[], taken);
    archive.data("doctor.json", &checks);
    archive.save(&path, taken).map_err(|source| BundleError { path: path.clone(), source })?;
    let (files, missed) = archive.counts();
    output::result(&match lang {
        Lang::En => format!(
            "{}: {files} files, {missed} not to be had (MANIFEST.json says which, and what was removed)\nread it before it leaves the house: it names agencies, hosts and images\n",
            path.display()
        ),
        Lang::Zh => format!(
            "{}：{files} 个文件，{missed} 项未能取得（详见 MANIFEST.json，其中亦列出已移除的内容）\n外发之前请先审阅：其中含单位、主机与镜像名称\n",
            path.display()
        ),
    });
    Ok(if anybody { Exit::Ok } else { Exit::Cluster })
}
