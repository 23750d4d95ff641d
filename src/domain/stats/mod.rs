//! Statistics of executions: what is counted, and how a range of time is put together from few parts.

mod figures;
mod histogram;
mod range;
mod subject;
mod totals;

pub use entity::statistic::Width;
pub use figures::Figures;
pub use histogram::Histogram;
pub use range::{Bucket, Parts, Span, Stretch, parts, start_of};
pub use subject::Subject;
pub use totals::{Point, Totals, buckets, percent, series, shown};
