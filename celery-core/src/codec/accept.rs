//! Which content types a reader takes.

use super::{DecodeError, PICKLE, Serializer, UnknownSerializer};

/// The content types that a reader takes; anything else is refused unread. The default is JSON alone.
///
/// ```
/// use celery_core::codec::AcceptContent;
///
/// let accept = AcceptContent::new(["json", "application/x-msgpack"]).unwrap();
/// assert!(accept.check("application/x-msgpack").is_ok());
/// assert!(accept.check("application/x-yaml").is_err());
/// assert!(AcceptContent::new(["pickle"]).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptContent {
    serializers: Vec<Serializer>,
    text: bool,
}

/// What a content type says about a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A serializer wrote it.
    Serialized(Serializer),
    /// Text or bytes, passed through as they are.
    Raw,
}

impl AcceptContent {
    /// Accepts what these names of serializers, or content types, stand for.
    ///
    /// # Errors
    ///
    /// [`UnknownSerializer`] for a name that is not known, and for pickle.
    pub fn new<I>(names: I) -> Result<Self, UnknownSerializer>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let mut accept = Self { serializers: Vec::new(), text: false };
        for name in names {
            match name.as_ref() {
                TEXT => accept.text = true,
                // Always accepted, so there is nothing to note.
                name if is_trusted(name) || name == "raw" => {}
                name => accept.add(Serializer::from_name(name)?),
            }
        }
        Ok(accept)
    }

    /// Accepts this serializer too, such as the one that a result is written with.
    pub fn add(&mut self, serializer: Serializer) {
        if !self.serializers.contains(&serializer) {
            self.serializers.push(serializer);
        }
    }

    /// The serializers that are accepted, in the order they were given.
    pub fn serializers(&self) -> &[Serializer] {
        &self.serializers
    }

    /// Says how a body of this content type is to be read. An empty one stands for `application/data`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::NotAccepted`], or [`DecodeError::Pickle`] for what is never accepted.
    pub fn check(&self, content_type: &str) -> Result<Content, DecodeError> {
        // Parameters such as a charset say nothing that the serializer does not fix.
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if is_trusted(essence) || (essence == TEXT && self.text) {
            return Ok(Content::Raw);
        }
        if essence == PICKLE {
            return Err(DecodeError::Pickle);
        }
        self.serializers
            .iter()
            .find(|it| it.content_type() == essence)
            .map(|it| Content::Serialized(*it))
            .ok_or_else(|| DecodeError::NotAccepted(content_type.to_owned()))
    }
}

impl Default for AcceptContent {
    fn default() -> Self {
        Self { serializers: vec![Serializer::Json], text: false }
    }
}

impl From<Serializer> for AcceptContent {
    fn from(serializer: Serializer) -> Self {
        Self { serializers: vec![serializer], text: false }
    }
}

const TEXT: &str = "text/plain";

/// kombu's `TRUSTED_CONTENT`: nothing in them is interpreted. No content type means `application/data`.
fn is_trusted(content_type: &str) -> bool {
    matches!(content_type, "" | "application/data" | "application/text")
}
