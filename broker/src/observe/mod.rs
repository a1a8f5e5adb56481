//! What operators see of the broker. A leaf: nothing here decides anything.

pub mod logging;
pub mod audit;
pub mod metrics;
pub mod events;
pub mod health;
pub mod feed;
