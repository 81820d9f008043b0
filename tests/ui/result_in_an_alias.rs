use celery::shared_task;

// It could be serialized, and every failure would be stored as a success.
type Outcome = Result<i64, String>;

#[shared_task]
fn hidden_in_a_name(text: String) -> Outcome {
    text.parse().map_err(|_| text)
}

#[shared_task]
fn format() -> std::fmt::Result {
    Ok(())
}

fn main() {}
