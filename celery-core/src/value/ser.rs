//! Values out of Rust types.

use serde::{
    Serialize, Serializer,
    ser::{
        Error as _, Impossible, SerializeMap, SerializeSeq, SerializeStruct,
        SerializeStructVariant, SerializeTuple, SerializeTupleStruct, SerializeTupleVariant,
    },
};

use super::{Map, Value, ValueError, tagged};

/// Makes values. It differs from serde_json's in floats, large integers and bytes.
pub(super) struct ValueSerializer;

impl Serializer for ValueSerializer {
    type Ok = Value;
    type Error = ValueError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    fn serialize_bool(self, it: bool) -> Result<Value, ValueError> {
        Ok(it.into())
    }

    fn serialize_i8(self, it: i8) -> Result<Value, ValueError> {
        Ok(it.into())
    }

    fn serialize_i16(self, it: i16) -> Result<Value, ValueError> {
        Ok(it.into())
    }

    fn serialize_i32(self, it: i32) -> Result<Value, ValueError> {
        Ok(it.into())
    }

    fn serialize_i64(self, it: i64) -> Result<Value, ValueError> {
        Ok(it.into())
    }

    fn serialize_i128(self, it: i128) -> Result<Value, ValueError> {
        Ok(tagged::int(&it.to_string()))
    }

    fn serialize_u8(self, it: u8) -> Result<Value, ValueError> {
        Ok(it.into())
    }

    fn serialize_u16(self, it: u16) -> Result<Value, ValueError> {
        Ok(it.into())
    }

    fn serialize_u32(self, it: u32) -> Result<Value, ValueError> {
        Ok(it.into())
    }

    fn serialize_u64(self, it: u64) -> Result<Value, ValueError> {
        Ok(it.into())
    }

    fn serialize_u128(self, it: u128) -> Result<Value, ValueError> {
        Ok(tagged::int(&it.to_string()))
    }

    fn serialize_f32(self, it: f32) -> Result<Value, ValueError> {
        Ok(tagged::float(it.into()))
    }

    fn serialize_f64(self, it: f64) -> Result<Value, ValueError> {
        Ok(tagged::float(it))
    }

    fn serialize_char(self, it: char) -> Result<Value, ValueError> {
        Ok(Value::String(it.into()))
    }

    fn serialize_str(self, it: &str) -> Result<Value, ValueError> {
        Ok(it.into())
    }

    fn serialize_bytes(self, it: &[u8]) -> Result<Value, ValueError> {
        Ok(tagged::bytes(it))
    }

    fn serialize_none(self) -> Result<Value, ValueError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, it: &T) -> Result<Value, ValueError> {
        it.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, ValueError> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, ValueError> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, ValueError> {
        Ok(variant.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        it: &T,
    ) -> Result<Value, ValueError> {
        it.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        it: &T,
    ) -> Result<Value, ValueError> {
        let content = it.serialize(self).map_err(|error| error.under_key(variant))?;
        Ok(in_variant(Some(variant), content))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Items, ValueError> {
        Ok(Items { items: Vec::with_capacity(length.unwrap_or(0)), variant: None })
    }

    fn serialize_tuple(self, length: usize) -> Result<Items, ValueError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Items, ValueError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Items, ValueError> {
        Ok(Items { items: Vec::with_capacity(length), variant: Some(variant) })
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Entries, ValueError> {
        Ok(Entries { map: Map::with_capacity(length.unwrap_or(0)), key: None, variant: None })
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Entries, ValueError> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Entries, ValueError> {
        Ok(Entries { map: Map::with_capacity(length), key: None, variant: Some(variant) })
    }
}

/// Wraps the content of an enum's variant in an object with the variant's name.
fn in_variant(variant: Option<&'static str>, content: Value) -> Value {
    match variant {
        Some(variant) => Value::Object(Map::from_iter([(variant.to_owned(), content)])),
        None => content,
    }
}

/// The items of an array, and the variant it is the content of.
pub(super) struct Items {
    items: Vec<Value>,
    variant: Option<&'static str>,
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ValueError> {
        let item =
            item.serialize(ValueSerializer).map_err(|error| error.under_index(self.items.len()))?;
        self.items.push(item);
        Ok(())
    }

    fn finish(self) -> Value {
        in_variant(self.variant, Value::Array(self.items))
    }
}

macro_rules! items {
    ($($name:ident :: $method:ident)*) => {$(
        impl $name for Items {
            type Ok = Value;
            type Error = ValueError;

            fn $method<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ValueError> {
                self.push(item)
            }

            fn end(self) -> Result<Value, ValueError> {
                Ok(self.finish())
            }
        }
    )*};
}

items! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

/// The entries of an object, and the variant it is the content of.
pub(super) struct Entries {
    map: Map,
    key: Option<String>,
    variant: Option<&'static str>,
}

impl Entries {
    fn insert<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Result<(), ValueError> {
        match value.serialize(ValueSerializer) {
            Ok(value) => {
                self.map.insert(key, value);
                Ok(())
            }
            Err(error) => Err(error.under_key(key)),
        }
    }

    fn finish(self) -> Result<Value, ValueError> {
        // serde_json hands over its raw values as a struct with this one field.
        if self.map.len() == 1
            && let Some(raw) =
                self.map.get("$serde_json::private::RawValue").and_then(Value::as_str)
        {
            return serde_json::from_str(raw).map_err(ValueError::custom);
        }
        Ok(in_variant(self.variant, Value::Object(self.map)))
    }
}

impl SerializeMap for Entries {
    type Ok = Value;
    type Error = ValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        self.key = Some(key.serialize(KeySerializer)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let key = self
            .key
            .take()
            .ok_or_else(|| ValueError::custom("a value was given before its key"))?;
        self.insert(key, value)
    }

    fn end(self) -> Result<Value, ValueError> {
        self.finish()
    }
}

impl SerializeStruct for Entries {
    type Ok = Value;
    type Error = ValueError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        self.insert(key.to_owned(), value)
    }

    fn end(self) -> Result<Value, ValueError> {
        self.finish()
    }
}

impl SerializeStructVariant for Entries {
    type Ok = Value;
    type Error = ValueError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        self.insert(key.to_owned(), value)
    }

    fn end(self) -> Result<Value, ValueError> {
        self.finish()
    }
}

/// Keys of an object are text; Python writes those of other scalars as JSON would, so do we.
struct KeySerializer;

macro_rules! keys {
    ($($method:ident($type:ty))*) => {$(
        fn $method(self, it: $type) -> Result<String, ValueError> {
            Ok(it.to_string())
        }
    )*};
}

impl Serializer for KeySerializer {
    type Ok = String;
    type Error = ValueError;
    type SerializeSeq = Impossible<String, ValueError>;
    type SerializeTuple = Impossible<String, ValueError>;
    type SerializeTupleStruct = Impossible<String, ValueError>;
    type SerializeTupleVariant = Impossible<String, ValueError>;
    type SerializeMap = Impossible<String, ValueError>;
    type SerializeStruct = Impossible<String, ValueError>;
    type SerializeStructVariant = Impossible<String, ValueError>;

    keys! {
        serialize_bool(bool)
        serialize_i8(i8)
        serialize_i16(i16)
        serialize_i32(i32)
        serialize_i64(i64)
        serialize_i128(i128)
        serialize_u8(u8)
        serialize_u16(u16)
        serialize_u32(u32)
        serialize_u64(u64)
        serialize_u128(u128)
        serialize_char(char)
        serialize_str(&str)
    }

    fn serialize_f32(self, it: f32) -> Result<String, ValueError> {
        self.serialize_f64(it.into())
    }

    fn serialize_f64(self, it: f64) -> Result<String, ValueError> {
        let mut key = String::new();
        super::number::write_float(&mut key, it);
        Ok(key)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, it: &T) -> Result<String, ValueError> {
        it.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        it: &T,
    ) -> Result<String, ValueError> {
        it.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<String, ValueError> {
        Ok(variant.to_owned())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<String, ValueError> {
        Err(not_a_key())
    }

    fn serialize_none(self) -> Result<String, ValueError> {
        Err(not_a_key())
    }

    fn serialize_unit(self) -> Result<String, ValueError> {
        Err(not_a_key())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<String, ValueError> {
        Err(not_a_key())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<String, ValueError> {
        Err(not_a_key())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, ValueError> {
        Err(not_a_key())
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, ValueError> {
        Err(not_a_key())
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, ValueError> {
        Err(not_a_key())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, ValueError> {
        Err(not_a_key())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, ValueError> {
        Err(not_a_key())
    }

    fn serialize_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStruct, ValueError> {
        Err(not_a_key())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, ValueError> {
        Err(not_a_key())
    }
}

fn not_a_key() -> ValueError {
    ValueError::custom("a key must be text, a number, a boolean or the name of a variant")
}
