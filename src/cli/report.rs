//! `report`: what to put into a bug report.

use super::{Session, failure::Failure};

pub(super) fn run(session: &Session) -> Result<(), Failure> {
    Ok(session.output.line(&session.app.bugreport())?)
}
