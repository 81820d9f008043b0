//! Rust types out of values.

use std::borrow::Cow;

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
        Unexpected, VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};

use super::{Map, Value, ValueError, tagged::Tagged};

/// Reads one value. It forwards what it has no say in to serde_json's own reading.
pub(super) struct ValueDeserializer {
    value: Value,
}

impl ValueDeserializer {
    pub(super) fn new(value: Value) -> Self {
        Self { value }
    }

    fn tagged(&self) -> Option<Tagged<'_>> {
        self.value.as_object().and_then(Tagged::of)
    }

    /// A number, whatever kind of it was asked for: the visitor knows what fits.
    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.tagged() {
            Some(Tagged::Float(float)) => visitor.visit_f64(float),
            Some(Tagged::Int(digits)) => {
                if let Ok(int) = digits.parse::<i128>() {
                    visitor.visit_i128(int)
                } else if let Ok(int) = digits.parse::<u128>() {
                    visitor.visit_u128(int)
                } else {
                    Err(ValueError::invalid_value(
                        Unexpected::Other(&format!("integer `{digits}`")),
                        &visitor,
                    ))
                }
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        let rounded = match self.tagged() {
            Some(Tagged::Int(digits)) => digits.parse::<f64>().ok(),
            _ => None,
        };
        match rounded {
            Some(float) => visitor.visit_f64(float),
            None => self.number(visitor),
        }
    }
}

impl<'de> Deserializer<'de> for ValueDeserializer {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(it) => visitor.visit_bool(it),
            Value::Number(it) => it.deserialize_any(visitor).map_err(ValueError::custom),
            Value::String(it) => visitor.visit_string(it),
            Value::Array(it) => visit_array(it, visitor),
            Value::Object(it) => match Tagged::of(&it) {
                // Decimal types of other crates ask for anything, for they read numbers, too. The only difference to
                // a type that does want anything is what they say they expect.
                Some(Tagged::Decimal(text)) if expects(&visitor, "decimal") => {
                    visitor.visit_str(text)
                }
                _ => visit_object(it, visitor),
            },
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.number(visitor)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.number(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.number(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.number(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.float(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.float(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.tagged() {
            Some(
                Tagged::Datetime(text)
                | Tagged::Date(text)
                | Tagged::Time(text)
                | Tagged::Decimal(text),
            ) => visitor.visit_str(text),
            Some(Tagged::Uuid(id)) => visitor.visit_str(id.hyphenated().encode_lower(&mut [0; 36])),
            Some(Tagged::Bytes(bytes)) => match str::from_utf8(&bytes) {
                Ok(text) => visitor.visit_str(text),
                Err(_) => Err(ValueError::invalid_type(Unexpected::Bytes(&bytes), &visitor)),
            },
            _ => self.number(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.tagged() {
            Some(Tagged::Bytes(bytes)) => visitor.visit_byte_buf(bytes.into_owned()),
            // Sixteen bytes to those who say that a UUID is not for humans to read.
            Some(Tagged::Uuid(id)) => visitor.visit_bytes(id.as_bytes()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.tagged() {
            Some(Tagged::Bytes(bytes)) => {
                let items: Vec<Value> = bytes.iter().copied().map(Value::from).collect();
                visit_array(items, visitor)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        match self.value {
            Value::String(name) => visitor.visit_enum(Variant { name, content: None }),
            Value::Object(map) if map.len() == 1 => match map.into_iter().next() {
                Some((name, content)) => {
                    visitor.visit_enum(Variant { name, content: Some(content) })
                }
                None => Err(ValueError::invalid_value(Unexpected::Map, &"an object with one key")),
            },
            Value::Object(_) => {
                Err(ValueError::invalid_value(Unexpected::Map, &"an object with one key"))
            }
            other => {
                Err(ValueError::invalid_type(unexpected(&other), &"text or an object with one key"))
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 u8 u16 u32 unit unit_struct tuple_struct map struct identifier ignored_any
    }
}

fn visit_array<'de, V: Visitor<'de>>(
    items: Vec<Value>,
    visitor: V,
) -> Result<V::Value, ValueError> {
    let length = items.len();
    let mut access = Items { items: items.into_iter(), next: 0 };
    let value = visitor.visit_seq(&mut access)?;
    // What is left over was not wanted: a tuple of two does not take three.
    match access.items.len() {
        0 => Ok(value),
        left => Err(ValueError::invalid_length(length, &Shorter(length - left))),
    }
}

fn visit_object<'de, V: Visitor<'de>>(map: Map, visitor: V) -> Result<V::Value, ValueError> {
    let length = map.len();
    let mut access = Entries { entries: map.into_iter(), current: None };
    let value = visitor.visit_map(&mut access)?;
    match access.entries.len() {
        0 => Ok(value),
        left => Err(ValueError::invalid_length(length, &Shorter(length - left))),
    }
}

struct Shorter(usize);

impl Expected for Shorter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "only {}", self.0)
    }
}

/// Whether the visitor says that it expects something of this name.
fn expects<'de, V: Visitor<'de>>(visitor: &V, name: &str) -> bool {
    let expected: &dyn Expected = visitor;
    expected.to_string().to_ascii_lowercase().contains(name)
}

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(it) => Unexpected::Bool(*it),
        Value::Number(it) => match (it.as_u64(), it.as_i64(), it.as_f64()) {
            (Some(it), ..) => Unexpected::Unsigned(it),
            (_, Some(it), _) => Unexpected::Signed(it),
            (.., it) => Unexpected::Float(it.unwrap_or(f64::NAN)),
        },
        Value::String(it) => Unexpected::Str(it),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

struct Items {
    items: std::vec::IntoIter<Value>,
    next: usize,
}

impl<'de> SeqAccess<'de> for &mut Items {
    type Error = ValueError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ValueError> {
        let Some(value) = self.items.next() else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        seed.deserialize(ValueDeserializer::new(value))
            .map(Some)
            .map_err(|error| error.under_index(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries {
    entries: serde_json::map::IntoIter,
    current: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for &mut Entries {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ValueError> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        let read = seed.deserialize(Key { key: Cow::Borrowed(&key) });
        self.current = Some((key, value));
        read.map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<T::Value, ValueError> {
        let (key, value) = self
            .current
            .take()
            .ok_or_else(|| ValueError::custom("a value was asked for before its key"))?;
        seed.deserialize(ValueDeserializer::new(value)).map_err(|error| error.under_key(key))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A key is text, but maps may have keys of other types, which are then read from the text.
struct Key<'a> {
    key: Cow<'a, str>,
}

macro_rules! key_from_text {
    ($($method:ident => $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
            match self.key.parse() {
                Ok(it) => visitor.$visit(it),
                Err(_) => Err(ValueError::invalid_type(Unexpected::Str(&self.key), &visitor)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'_> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_str(&self.key)
    }

    key_from_text! {
        deserialize_bool => visit_bool
        deserialize_i8 => visit_i8
        deserialize_i16 => visit_i16
        deserialize_i32 => visit_i32
        deserialize_i64 => visit_i64
        deserialize_i128 => visit_i128
        deserialize_u8 => visit_u8
        deserialize_u16 => visit_u16
        deserialize_u32 => visit_u32
        deserialize_u64 => visit_u64
        deserialize_u128 => visit_u128
        deserialize_f32 => visit_f32
        deserialize_f64 => visit_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_enum((&*self.key).into_deserializer())
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Variant {
    name: String,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = ValueError;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Content), ValueError> {
        let variant = seed.deserialize(Key { key: Cow::Borrowed(&self.name) })?;
        Ok((variant, Content { name: self.name, content: self.content }))
    }
}

struct Content {
    name: String,
    content: Option<Value>,
}

impl Content {
    fn read<T>(
        self,
        expected: &'static str,
        read: impl FnOnce(ValueDeserializer) -> Result<T, ValueError>,
    ) -> Result<T, ValueError> {
        match self.content {
            Some(value) => {
                read(ValueDeserializer::new(value)).map_err(|error| error.under_key(self.name))
            }
            None => Err(ValueError::invalid_type(Unexpected::UnitVariant, &expected)),
        }
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = ValueError;

    fn unit_variant(self) -> Result<(), ValueError> {
        match self.content {
            None | Some(Value::Null) => Ok(()),
            Some(value) => {
                Err(ValueError::invalid_type(unexpected(&value), &"a variant without content"))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, ValueError> {
        self.read("a variant with content", |it| seed.deserialize(it))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.read("a tuple variant", |it| it.deserialize_tuple(length, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.read("a struct variant", |it| it.deserialize_map(visitor))
    }
}
