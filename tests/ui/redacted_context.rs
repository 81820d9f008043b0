#![allow(unused_variables)]

use celery::prelude::*;

#[shared_task(bind)]
fn bound(#[redact] task: &Context) {}

#[shared_task]
fn stateful(#[state] #[redact] name: String) {}

#[shared_task]
fn valued(#[redact = "x"] name: String) {}

fn main() {}
