//! Finds the tasks of the packages that this one depends on.

fn main() {
    celery_build::autodiscover();
}
