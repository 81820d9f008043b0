//! The `beat_` and `security_` settings.

use super::{Setting, refused, settings};

const NO_BEAT: &str = "this version has no beat: let Python's `celery beat` send the periodic tasks to the same queues";
const SIGNING: &str = "this version does not sign messages (the `auth` serializer)";

pub(super) const BEAT: &[Setting] = settings! {
    beat_enable_remote_control, "CELERYBEAT_ENABLE_REMOTE_CONTROL", Bool = "false", refused(NO_BEAT);
    beat_remote_control_max_tick_age, "CELERYBEAT_REMOTE_CONTROL_MAX_TICK_AGE", Float = "null", refused(NO_BEAT);
    beat_max_loop_interval, "CELERYBEAT_MAX_LOOP_INTERVAL", Float = "0", refused(NO_BEAT);
    beat_schedule, "CELERYBEAT_SCHEDULE", Dict = "{}", refused(NO_BEAT);
    beat_scheduler, "CELERYBEAT_SCHEDULER", Text = r#""celery.beat:PersistentScheduler""#, refused(NO_BEAT);
    beat_schedule_filename, "CELERYBEAT_SCHEDULE_FILENAME", Text = r#""celerybeat-schedule""#, refused(NO_BEAT);
    beat_sync_every, "CELERYBEAT_SYNC_EVERY", Int = "0", refused(NO_BEAT);
    beat_cron_starting_deadline, "CELERYBEAT_CRON_STARTING_DEADLINE", Int = "null", refused(NO_BEAT);
};

pub(super) const SECURITY: &[Setting] = settings! {
    security_certificate, "CELERY_SECURITY_CERTIFICATE", Text = "null", refused(SIGNING);
    security_cert_store, "CELERY_SECURITY_CERT_STORE", Text = "null", refused(SIGNING);
    security_key, "CELERY_SECURITY_KEY", Text = "null", refused(SIGNING);
    security_key_password, "CELERY_SECURITY_KEY_PASSWORD", Text = "null", refused(SIGNING);
    security_digest, "CELERY_SECURITY_DIGEST", Text = r#""sha256""#, refused(SIGNING);
};
