//! What is counted. Labels come from closed enums only: no name of a person, unit or object is in them. Each metric is declared once;
//! the registry and `docs/metrics.md` come from that.

use crate::identity::Via;
use crate::limits::Class;
use crate::problem::{Problem, examples};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use std::time::{Duration, Instant};
use tandem_core::metrics::{Label, Metric, Named, Type};

const CLASS: Label = Label::closed("class", || Class::ALL.map(Class::as_str).to_vec());
const STATUS: Label = Label::closed("status", || vec!["1xx", "2xx", "3xx", "4xx", "5xx"]);
const PROBLEM: Label = Label::closed("kind", || examples().iter().map(Problem::slug).collect());
const WAY: Label = Label::closed("way", || vec!["token", "certificate", "nothing"]);
const SIGNED_IN: Label = Label::closed("result", || vec!["accepted", "refused", "unavailable"]);
const PROGRAM: Label = Label::closed("program", || vec!["api"]);
const VERSION: Label = Label::names("version", Named::Versions);
const CERTIFICATE: Label = Label::closed("certificate", || Certificate::ALL.map(Certificate::as_str).to_vec());

/// Upper bounds for an answer, in seconds.
const SHORT: &[f64] = &[0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];
/// Upper bounds for what has to come into the arbiter, in seconds.
const DURABLE: &[f64] = &[0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

tandem_core::declare_metrics! {
    BUILD_INFO = Metric::gauge("tandem_build_info", "1", "Always 1: which program answers, and in which version.")
        .by(&[PROGRAM, VERSION]);
    CERTIFICATE_EXPIRY = Metric::gauge(
        "tandem_certificate_expiry_timestamp_seconds",
        "Unix time in seconds",
        "Until when a certificate of this process's own is good, as it was at its start.",
    ).by(&[CERTIFICATE]);
    REQUESTS = Metric::counter("tandem_api_requests_total", "requests", "Requests answered, by class of path and status.")
        .by(&[CLASS, STATUS]);
    DURATION = Metric::histogram(
        "tandem_api_request_duration_seconds",
        SHORT,
        "How long it took until an answer began: of a stream of events, until it was opened.",
    ).by(&[CLASS]);
    IN_FLIGHT = Metric::gauge("tandem_api_requests_in_flight", "requests", "Requests being worked on.");
    PROBLEMS = Metric::counter("tandem_api_problems_total", "answers", "Problems answered, by kind; /docs/problems explains each.")
        .by(&[PROBLEM]);
    SIGN_INS = Metric::counter(
        "tandem_api_sign_ins_total",
        "requests",
        "Requests by what they showed of who asks, and what came of it. Unavailable: the issuer's keys or this site's units could \
         not be read.",
    ).by(&[WAY, SIGNED_IN]);
    DURABLE_WAIT = Metric::histogram(
        "tandem_api_durable_wait_seconds",
        DURABLE,
        "From when what was accepted stood at this site until it was in the arbiter. What took too long is a problem, `not-durable`, and \
         not in here.",
    );
}

/// A certificate that the API uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// The one with which it asks the arbiter.
    ArbiterClient,
    /// The one that it shows to whoever asks.
    Server,
}

impl Certificate {
    const ALL: [Self; 2] = [Self::ArbiterClient, Self::Server];

    fn as_str(self) -> &'static str {
        match self {
            Self::ArbiterClient => "arbiter_client",
            Self::Server => "server",
        }
    }
}

/// The API's metrics. Cloning gives another handle to the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    certificates: GaugeVec,
    requests: IntCounterVec,
    seconds: HistogramVec,
    in_flight: IntGauge,
    problems: IntCounterVec,
    sign_ins: IntCounterVec,
    durable: Histogram,
}

/// Every metric of the API, as it is declared.
#[must_use]
pub fn declared() -> Vec<&'static Metric> {
    ALL.to_vec()
}

fn opts(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn histogram(metric: &Metric) -> HistogramOpts {
    let buckets = if let Type::Histogram(buckets) = metric.kind { buckets.to_vec() } else { Vec::new() };
    HistogramOpts::new(metric.name, metric.help).buckets(buckets)
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// When two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |metric: &Metric| {
            let counters = register(&registry, IntCounterVec::new(opts(metric), &metric.label_names())?)?;
            for values in metric.every() {
                counters.with_label_values(&values);
            }
            Ok::<_, prometheus::Error>(counters)
        };
        let build = register(&registry, IntGaugeVec::new(opts(&BUILD_INFO), &BUILD_INFO.label_names())?)?;
        build.with_label_values(&["api", env!("CARGO_PKG_VERSION")]).set(1);
        let expiry = &CERTIFICATE_EXPIRY;
        let seconds = register(&registry, HistogramVec::new(histogram(&DURATION), &DURATION.label_names())?)?;
        for values in DURATION.every() {
            seconds.with_label_values(&values);
        }
        Ok(Self {
            certificates: register(&registry, GaugeVec::new(opts(expiry), &expiry.label_names())?)?,
            requests: counters(&REQUESTS)?,
            seconds,
            in_flight: register(&registry, IntGauge::with_opts(opts(&IN_FLIGHT))?)?,
            problems: counters(&PROBLEMS)?,
            sign_ins: counters(&SIGN_INS)?,
            durable: register(&registry, Histogram::with_opts(histogram(&DURABLE_WAIT))?)?,
            registry,
        })
    }

    /// Until when a certificate is good.
    pub fn certificate(&self, which: Certificate, expires: Timestamp) {
        let gauge: Gauge = self.certificates.with_label_values(&[which.as_str()]);
        // To the second: such numbers are exact.
        gauge.set(expires.as_second() as f64);
    }

    /// Somebody signed in, or did not, by what was shown; `None` where nothing was.
    pub fn signed_in(&self, by: Option<Via>, problem: Option<&Problem>) {
        let way = match by {
            Some(Via::Token) => "token",
            Some(Via::Certificate) => "certificate",
            None => "nothing",
        };
        let result = match problem {
            None => "accepted",
            Some(Problem::KeysUnavailable | Problem::NotRead) => "unavailable",
            Some(_) => "refused",
        };
        self.sign_ins.with_label_values(&[way, result]).inc();
    }

    /// What was accepted came into the arbiter so long after it stood here.
    pub fn durable(&self, after: Duration) {
        self.durable.observe(after.as_secs_f64());
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tandem_core::metrics::{CITY, faults, in_manual, stray, tables};

    #[test]
    fn declarations_follow_the_rules() {
        assert_eq!(faults(&declared()), Vec::<String>::new());
    }

    /// With `TANDEM_WRITE_DOCS=1` the tables are written; else they are compared.
    #[test]
    fn the_manual_has_every_metric_of_the_api() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        let manual = std::fs::read_to_string(&path).unwrap();
        let wanted = in_manual(&manual, "api", &tables(&declared(), &CITY)).unwrap();
        if std::env::var_os("TANDEM_WRITE_DOCS").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        } else {
            assert_eq!(manual, wanted, "run `make generate` and commit docs/metrics.md");
        }
    }

    #[test]
    fn what_grows_is_there_from_the_beginning() {
        let told = Metrics::new().unwrap().registry.gather();
        for metric in declared().into_iter().filter(|metric| !matches!(metric.kind, Type::Gauge)) {
            let series =
                told.iter().find(|family| family.name() == metric.name).map(|family| family.get_metric().len());
            assert_eq!(series, Some(metric.every().len()), "{}", metric.name);
        }
    }

    #[test]
    fn what_is_told_is_declared_and_true() {
        let metrics = Metrics::new().unwrap();
        metrics.certificate(Certificate::Server, Timestamp::from_second(1_900_000_000).unwrap());
        metrics.signed_in(Some(Via::Token), None);
        metrics.signed_in(Some(Via::Token), Some(&Problem::KeysUnavailable));
        metrics.signed_in(None, Some(&Problem::Forbidden));
        metrics.durable(Duration::from_millis(40));
        for problem in examples() {
            metrics.problems.with_label_values(&[problem.slug()]).inc();
        }
        for family in metrics.registry.gather() {
            for series in family.get_metric() {
                let labels: Vec<(&str, &str)> =
                    series.get_label().iter().map(|pair| (pair.name(), pair.value())).collect();
                assert_eq!(stray(&declared(), family.name(), &labels), None);
            }
        }
        let text = metrics.text().unwrap();
        for line in [
            "tandem_certificate_expiry_timestamp_seconds{certificate=\"server\"} 1900000000",
            "tandem_api_sign_ins_total{result=\"accepted\",way=\"token\"} 1",
            "tandem_api_sign_ins_total{result=\"unavailable\",way=\"token\"} 1",
            "tandem_api_sign_ins_total{result=\"refused\",way=\"nothing\"} 1",
            "tandem_api_durable_wait_seconds_bucket{le=\"0.05\"} 1",
            "tandem_api_durable_wait_seconds_bucket{le=\"0.02\"} 0",
            "tandem_build_info{program=\"api\"",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
