//! Many canvases, planned by us and by real Celery. `tests/python/canvases.py` has written what Celery sends.

use std::collections::HashMap;

use serde_json::json;

use super::golden::{app, numbered, sent_for};
use crate::{
    canvas::plan::Call,
    signature::{CallOptions, Spec},
    value::Value,
};

#[tokio::test]
async fn canvases_are_planned_as_celery_plans_them() {
    let app = app();
    let cases = include_str!("../../../../tests/fixtures/canvases.json");
    let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
    assert!(cases.len() > 80);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let options = case["options"].as_object().cloned().unwrap_or_default();
        let call = Call {
            args: case["args"].as_array().cloned().unwrap_or_default(),
            options: CallOptions::from_map(options).unwrap(),
            ..Call::default()
        };
        let plan = app.plan(Spec::from_value(case["spec"].clone()).unwrap(), call).unwrap();
        let sizes: Value = plan.joins.iter().map(|it| it.size).collect();
        assert_eq!(sizes, case["sizes"], "{name}");

        let number = |value: &Value| numbered(value, &mut HashMap::new());
        let result = plan.result.to_value();
        let results = [number(&result), number(&forgetful(&result))];
        assert!(results.contains(&number(&case["result"])), "{name}: {}", case["result"]);

        let (ours, theirs) = (number(&sent_for(&app, plan)), number(&case["sent"]));
        assert_eq!(ours, theirs, "{name}");
    }
}

/// A result as Celery has it of a chord that is called: it follows the header, whatever comes between them in the body.
fn forgetful(result: &Value) -> Value {
    let mut first = &result[0][1];
    while !first[0][1].is_null() {
        first = &first[0][1];
    }
    json!([[result[0][0], first], result[1]])
}
