//! What is looked up at a scrape.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, LabelPair, Metric as Series, MetricFamily, MetricType};
use std::collections::{BTreeMap, HashMap};
use tandem_core::metrics::Metric;

/// What was found at one scrape.
#[derive(Debug, Default)]
pub(super) struct Samples {
    families: BTreeMap<&'static str, (&'static Metric, Vec<Series>)>,
}

impl Samples {
    /// One gauge's value, with the values of its labels in the order in which they are declared.
    pub(super) fn set(&mut self, metric: &'static Metric, labels: &[&str], value: f64) {
        let pair = |(name, value): (&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut series = Series::default();
        series.set_label(metric.label_names().into_iter().zip(labels).map(pair).collect());
        series.set_gauge(gauge);
        self.families.entry(metric.name).or_insert_with(|| (metric, Vec::new())).1.push(series);
    }

    /// How many there are.
    pub(super) fn count(&mut self, metric: &'static Metric, labels: &[&str], count: usize) {
        // Nothing that is counted here comes near to what such a number holds exactly.
        self.set(metric, labels, count as f64);
    }

    pub(super) fn families(self) -> Vec<MetricFamily> {
        let family = |(metric, series): (&Metric, Vec<Series>)| {
            let mut family = MetricFamily::default();
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.to_owned());
            family.set_field_type(MetricType::GAUGE);
            family.set_metric(series);
            family
        };
        self.families.into_values().map(family).collect()
    }
}

/// Looks at each scrape.
pub(super) struct Scraped<F> {
    descs: Vec<Desc>,
    look: F,
}

impl<F: Fn(&mut Samples)> Scraped<F> {
    /// These metrics, as `look` finds them.
    ///
    /// # Errors
    /// When a declaration is none that Prometheus takes.
    pub(super) fn new(metrics: &[&'static Metric], look: F) -> Result<Self, prometheus::Error> {
        let desc = |metric: &&Metric| {
            let labels = metric.label_names().into_iter().map(str::to_owned).collect();
            Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, HashMap::new())
        };
        Ok(Self { descs: metrics.iter().map(desc).collect::<Result<_, _>>()?, look })
    }
}

impl<F: Fn(&mut Samples) + Send + Sync> Collector for Scraped<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut samples = Samples::default();
        (self.look)(&mut samples);
        samples.families()
    }
}
