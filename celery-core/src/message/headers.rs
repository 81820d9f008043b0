//! The headers of a message.

use std::{borrow::Cow, fmt, ops::Index};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

use crate::value::{Map, Text, Value};

/// The application's headers, in the order in which they were written.
///
/// There are about twenty, which are read one after the other and once: that takes no hashing, and the names that
/// Celery knows take no memory. It has the methods of a [`Map`], and becomes one with `into`.
///
/// ```
/// use celery_core::message::Headers;
/// use serde_json::json;
///
/// let mut headers = Headers::from_iter([("task", json!("emails.tasks.add")), ("retries", json!(0))]);
/// headers.insert("retries", json!(1));
/// assert_eq!(headers["retries"], 1);
/// assert_eq!(headers.text("task"), Some("emails.tasks.add"));
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    entries: Vec<(Name, Value)>,
}

/// The name of a header: one that Celery knows costs nothing.
type Name = Cow<'static, str>;

impl Headers {
    /// None yet, with room for so many.
    pub fn with_capacity(count: usize) -> Self {
        Self { entries: Vec::with_capacity(count) }
    }

    /// The header of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The text of that name; `None` also when it is something else.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Whether there is a header of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets a header, in its place where it is there already, and at the end otherwise. Returns what it was.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: Value) -> Option<Value> {
        let name = name.into();
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, there)) => Some(std::mem::replace(there, value)),
            None => {
                self.entries.push((name, value));
                None
            }
        }
    }

    /// Takes a header out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.entries.iter().position(|(known, _)| known == name)?;
        Some(self.entries.remove(at).1)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, value)| (&**name, value))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// The values, in order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.iter().map(|(_, value)| value)
    }

    /// All of them, for who takes the values out.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        self.entries.iter_mut().map(|(name, value)| (&**name, value))
    }

    /// Adds one that is known not to be there.
    pub(crate) fn push(&mut self, name: &'static str, value: Value) {
        self.entries.push((Cow::Borrowed(name), value));
    }
}

/// So many names that we do not know can be held against each other. A message with more is somebody's mischief.
const FEW: usize = 16;

/// Names that a message of Celery has, in its order. They are not copied.
const KNOWN: [&str; 22] = [
    "lang",
    "task",
    "id",
    "shadow",
    "eta",
    "expires",
    "group",
    "group_index",
    "retries",
    "timelimit",
    "root_id",
    "parent_id",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "ignore_result",
    "replaced_task_nesting",
    "stamped_headers",
    "stamps",
    "compression",
    "redelivered",
    "hostname",
];

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut headers = Headers::with_capacity(KNOWN.len());
        // Of each name the last one stands, at the place of the first. Those that are known are told apart by their number.
        let (mut seen, mut next, mut others) = (0_u32, 0, 0);
        let mut has_doubles = false;
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            // They mostly come in order.
            let known = match KNOWN.get(next) {
                Some(known) if *known == name => Some(next),
                _ => KNOWN.iter().position(|known| *known == name),
            };
            let name = match known {
                Some(number) => {
                    has_doubles |= seen & (1 << number) != 0;
                    seen |= 1 << number;
                    next = number + 1;
                    Cow::Borrowed(KNOWN[number])
                }
                None => {
                    others += 1;
                    has_doubles |= others > FEW || headers.contains_key(&name);
                    Cow::Owned(name.into_owned())
                }
            };
            headers.entries.push((name, map.next_value()?));
        }
        if has_doubles {
            let named = headers.entries.into_iter().map(|(name, it)| (name.into_owned(), it));
            return Ok(Headers::from(Map::from_iter(named)));
        }
        Ok(headers)
    }
}

impl From<Map> for Headers {
    fn from(map: Map) -> Self {
        Self { entries: map.into_iter().map(|(name, it)| (Cow::Owned(name), it)).collect() }
    }
}

impl From<Headers> for Map {
    fn from(headers: Headers) -> Self {
        headers.entries.into_iter().map(|(name, value)| (name.into_owned(), value)).collect()
    }
}

impl<N: Into<Cow<'static, str>>> FromIterator<(N, Value)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(entries: I) -> Self {
        let mut headers = Self::default();
        entries.into_iter().for_each(|(name, value)| _ = headers.insert(name, value));
        headers
    }
}

impl Index<&str> for Headers {
    type Output = Value;

    /// The header of that name, or null.
    fn index(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&Value::Null)
    }
}

/// In whatever order.
impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Headers {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn headers_are_read_as_a_map_is_whatever_their_order_and_however_often_they_are_named() {
        let many = |count: usize| -> String {
            let each = (0..count).map(|number| format!(r#""x{}": {number}"#, number % 40));
            format!("{{{}}}", each.collect::<Vec<_>>().join(", "))
        };
        let texts = [
            "{}".to_owned(),
            r#"{"lang": "py", "task": "t", "id": null, "retries": 0}"#.to_owned(),
            r#"{"retries": 0, "x": [1, {"a": 1}], "task": "t", "y": 1.5, "stamps": {}}"#.to_owned(),
            r#"{"task": 1, "x": 1, "task": 2, "y": 2, "lang": "py", "task": 3}"#.to_owned(),
            r#"{"x": 1, "y": 2, "x": 3}"#.to_owned(),
            r#"{"t\u0061sk": "escaped", "na\u00efve": 1}"#.to_owned(),
            many(40),
            many(500),
        ];
        for text in texts {
            let expected: Map = serde_json::from_str(&text).unwrap();
            let found = read(&text);
            assert!(found.keys().eq(expected.keys()), "{text}");
            assert!(found.values().eq(expected.values()), "{text}");
            assert_eq!(json!(found), Value::Object(expected.clone()));
            assert_eq!(Map::from(found), expected);
        }
    }

    #[test]
    fn a_header_is_set_in_its_place_and_taken_out() {
        let mut headers = read(r#"{"task": "t", "x": 1, "id": "i"}"#);
        assert_eq!(headers.insert("x", json!(2)), Some(json!(1)));
        assert_eq!(headers.insert("y", json!(3)), None);
        assert_eq!(headers.remove("task"), Some(json!("t")));
        assert_eq!(headers.remove("task"), None);
        assert_eq!(
            format!("{headers:?}"),
            r#"{"x": Number(2), "id": String("i"), "y": Number(3)}"#
        );
        assert_eq!((headers.text("id"), headers.text("x")), (Some("i"), None));
        assert_eq!(headers["z"], Value::Null);
        assert_eq!(headers, read(r#"{"y": 3, "id": "i", "x": 2}"#));
        assert_ne!(headers, read(r#"{"y": 3, "id": "i", "z": 2}"#));
    }
}
