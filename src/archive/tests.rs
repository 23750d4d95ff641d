//! Archives that attack, archives of other tools, and round trips.

mod attacks;
mod fixture;
mod folders;
mod round_trips;
