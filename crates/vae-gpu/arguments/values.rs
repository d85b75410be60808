//! Values of options: sizes, positive numbers, and names as config files have them.

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use serde::de::value::{Error, StrDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

/// `28x28`
pub(crate) fn size(text: &str) -> Result<[usize; 2], String> {
    let sides = text.split_once(['x', 'X']);
    let sides = sides.and_then(|(height, width)| Some([height.parse().ok()?, width.parse().ok()?]));
    sides
        .filter(|sides| !sides.contains(&0))
        .ok_or_else(|| "expected height and width, for example 64x64".into())
}

pub(crate) fn positive() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..)
}

/// One of the names that a config file has for the values of `T`.
pub(crate) fn one_of<T: for<'de> Deserialize<'de> + Clone + Send + Sync + 'static>()
-> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names::<T>()).try_map(|name| by_name(&name))
}

/// What a config file calls the variants of the enum `T`.
pub(crate) fn names<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &[&str] = &[];
    // Always an error, for there is no value; the names came before it.
    let _ = T::deserialize(Names(&mut names));
    names
}

/// Keeps the names of the enum that is deserialized from it.
struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &str,
        names: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = names;
        Err(Error::custom("no value"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not an enum"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The value that a config file would call `name`.
pub(crate) fn by_name<T: for<'de> Deserialize<'de>>(name: &str) -> Result<T, Error> {
    let name: StrDeserializer<'_, Error> = name.into_deserializer();
    T::deserialize(name)
}

#[cfg(test)]
mod tests {
    use vae_data::Layout;
    use vae_data::folder::Fit;
    use vae_recipe::BackendChoice;

    use super::*;

    #[test]
    fn names_are_those_of_the_config_file() {
        assert_eq!(names::<Fit>(), ["crop", "pad", "stretch"]);
        assert_eq!(names::<Layout>(), ["channels-first", "channels-last"]);
        assert!(names::<usize>().is_empty());
        assert!(
            names::<BackendChoice>()
                .iter()
                .all(|name| by_name::<BackendChoice>(name).is_ok())
        );
    }

    #[test]
    fn sizes_are_two_numbers() {
        assert_eq!(size("64x32"), Ok([64, 32]));
        for wrong in ["64", "64x", "x", "0x8", "64x32x3", "-1x2"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
