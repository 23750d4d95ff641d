//! Statistics: exact counts and sums, percentiles within 1 %, whatever has happened and however far it has been summed up.

mod exact;
mod live;
mod recompute;
mod registry;
mod scope;
