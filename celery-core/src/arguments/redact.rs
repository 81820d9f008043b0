//! What is shown of arguments.

use std::{borrow::Cow, fmt};

use super::Parameter;
use crate::value::{Map, Value};

/// What stands in for a value that is not shown.
const MASK: &str = "***";

/// Values that are not shown, but counted.
pub(crate) struct Hidden(pub(crate) usize);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} hidden]", self.0)
    }
}

/// The arguments as they may be shown: `***` in place of those of redacted parameters.
///
/// Where a task has such parameters, what belongs to none of its parameters is not shown either: it may have been meant
/// for one of them.
pub(crate) fn shown<'a>(
    parameters: &[Parameter],
    args: &'a [Value],
    kwargs: &'a Map,
) -> (Cow<'a, [Value]>, Cow<'a, Map>) {
    if parameters.iter().all(|parameter| !parameter.redacted) {
        return (Cow::Borrowed(args), Cow::Borrowed(kwargs));
    }
    let mask = || Value::from(MASK);
    let shows = |parameter: Option<&Parameter>| parameter.is_some_and(|it| !it.redacted);
    let args = args
        .iter()
        .enumerate()
        .map(|(index, value)| if shows(parameters.get(index)) { value.clone() } else { mask() });
    let kwargs = kwargs.iter().map(|(name, value)| {
        let parameter = parameters.iter().find(|parameter| parameter.name == name);
        (name.clone(), if shows(parameter) { value.clone() } else { mask() })
    });
    (args.collect(), Cow::Owned(kwargs.collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_redacted_argument_is_not_shown_however_it_is_given() {
        const LOGIN: &[Parameter] =
            &[Parameter::required("user"), Parameter::required("password").redacted()];
        let check = |args: Value, kwargs: Value, expected: Value| {
            let (args, kwargs) = (args.as_array().unwrap(), kwargs.as_object().unwrap());
            let (args, kwargs) = shown(LOGIN, args, kwargs);
            assert_eq!(json!([args, kwargs]), expected);
        };
        check(json!(["ada", "x"]), json!({}), json!([["ada", "***"], {}]));
        check(json!(["ada"]), json!({"password": 1}), json!([["ada"], {"password": "***"}]));
        check(json!([]), json!({"user": "ada"}), json!([[], {"user": "ada"}]));
        check(
            json!([1, 2, 3]),
            json!({"pasword": 4}),
            json!([[1, "***", "***"], {"pasword": "***"}]),
        );
    }

    #[test]
    fn without_redacted_parameters_all_is_shown() {
        let (args, kwargs) = (vec![json!(1), json!(2)], Map::new());
        let (shown, _) = shown(&[Parameter::required("x")], &args, &kwargs);
        assert_eq!(*shown, args);
    }
}
