//! What the settings promise.

use super::*;

#[test]
fn the_defaults_are_celerys() {
    let config = Config::default();
    assert_eq!(config.task.default_queue, "celery");
}
