fn main() {
    celery::installed_apps!();
}
