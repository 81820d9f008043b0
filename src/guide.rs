//! The guide, page by page.

// The examples of the README are compiled as those of the guide are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[doc = include_str!("../docs/tasks.md")]
pub mod tasks {}

#[doc = include_str!("../docs/calling.md")]
pub mod calling {}

#[doc = include_str!("../docs/canvas.md")]
pub mod canvas {}

#[doc = include_str!("../docs/connections.md")]
pub mod connections {}

#[doc = include_str!("../docs/workers.md")]
pub mod workers {}

#[doc = include_str!("../docs/monitoring.md")]
pub mod monitoring {}
#[doc = include_str!("../docs/remote.md")]
pub mod remote {}

#[doc = include_str!("../docs/discovery.md")]
pub mod discovery {}

#[doc = include_str!("../docs/commands.md")]
pub mod commands {}

#[doc = include_str!("../docs/fleet.md")]
pub mod fleet {}

#[doc = include_str!("../docs/delivery.md")]
pub mod delivery {}

#[doc = include_str!("../docs/settings.md")]
pub mod settings {}
