//! What is counted. Labels come from closed enums only: no name of a person, unit or object is in them.

use crate::limits::Class;
use crate::problem::Problem;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus::{Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use std::time::Instant;

/// The API's metrics. Cloning gives another handle to the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests answered, by class of path and of status.
    pub requests: IntCounterVec,
    /// How long an answer took, in seconds, by class of path.
    pub seconds: HistogramVec,
    /// Requests being worked on.
    pub in_flight: IntGauge,
    /// Problems answered, by kind.
    pub problems: IntCounterVec,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// When two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("tandem_api_requests_total", "Requests answered, by class of path and status."),
            &["class", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("tandem_api_request_duration_seconds", "How long an answer took.")
                .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]),
            &["class"],
        )?;
        let in_flight = IntGauge::new("tandem_api_requests_in_flight", "Requests being worked on.")?;
        let problems =
            IntCounterVec::new(Opts::new("tandem_api_problems_total", "Problems answered, by kind."), &["kind"])?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        registry.register(Box::new(problems.clone()))?;
        Ok(Self { registry, requests, seconds, in_flight, problems })
    }

    /// The metrics in Prometheus' text format.
    ///
    /// # Errors
    /// When they cannot be encoded.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut buffer = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer).into_owned())
    }
}

/// Goes down again also where a request is given up half-way.
struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts every request.
pub async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let class = Class::of(request.uri().path()).as_str();
    metrics.in_flight.inc();
    let _flight = InFlight(metrics.in_flight.clone());
    let started = Instant::now();
    let response = next.run(request).await;
    let status = match response.status().as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    metrics.requests.with_label_values(&[class, status]).inc();
    metrics.seconds.with_label_values(&[class]).observe(started.elapsed().as_secs_f64());
    if let Some(problem) = response.extensions().get::<Problem>() {
        metrics.problems.with_label_values(&[problem.slug()]).inc();
    }
    response
}
