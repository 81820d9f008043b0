//! Mail as files: each is a message in the form of RFC 5322, which any mail program opens.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use celery::core::clock;
use jiff::fmt::rfc2822;

/// Puts mail into a folder.
#[derive(Clone, Debug)]
pub struct Mailer {
    spool: PathBuf,
    from: String,
}

/// A mail to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Email<'a> {
    /// What it is known by: the name of its file, and part of its `Message-ID`. One id is sent once.
    pub id: &'a str,
    /// The address that it goes to.
    pub to: &'a str,
    /// Its subject.
    pub subject: &'a str,
    /// Its text.
    pub body: &'a str,
}

/// A mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    /// A header that would break out of its line.
    #[error("the {0} of a mail is one line of printable ASCII")]
    Header(&'static str),
    /// The id is no file name.
    #[error("the id of a mail is made of letters, digits, `-` and `_`")]
    Id,
    /// The folder cannot be written.
    #[error("could not write the mail into its folder")]
    Spool(#[from] std::io::Error),
}

impl Mailer {
    /// A mailer that puts mail from that address into that folder, which is made when it is needed.
    pub fn new(spool: impl AsRef<Path>, from: impl Into<String>) -> Self {
        Self { spool: spool.as_ref().to_owned(), from: from.into() }
    }

    /// Sends a mail, and returns the path of its file. One that was sent already is not sent again.
    ///
    /// # Errors
    /// [`EmailError`].
    pub fn send(&self, email: Email<'_>) -> Result<PathBuf, EmailError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if email.id.is_empty() || !email.id.chars().all(plain) {
            return Err(EmailError::Id);
        }
        let text = self.text(email)?;
        fs::create_dir_all(&self.spool)?;
        let path = self.spool.join(format!("{}.eml", email.id));
        // Written elsewhere and then linked: whoever looks into the folder sees whole mails only.
        let draft = self.spool.join(format!(".{}.{}.draft", email.id, std::process::id()));
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&draft)?
            .write_all(text.as_bytes())?;
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(path),
        }
    }

    fn text(&self, email: Email<'_>) -> Result<String, EmailError> {
        let domain = self.from.rsplit('@').next().unwrap_or("localhost");
        let date = rfc2822::DateTimePrinter::new()
            .timestamp_to_string(&clock::now())
            .map_err(|_| EmailError::Header("date"))?;
        Ok(format!(
            "From: {}\r\nTo: {}\r\nSubject: {}\r\nDate: {date}\r\nMessage-ID: <{}@{domain}>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}\r\n",
            header("sender", &self.from)?,
            header("recipient", email.to)?,
            header("subject", email.subject)?,
            email.id,
            email.body.lines().collect::<Vec<_>>().join("\r\n"),
        ))
    }
}

fn header<'a>(name: &'static str, value: &'a str) -> Result<&'a str, EmailError> {
    let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if value.is_empty() || !value.bytes().all(printable) {
        Err(EmailError::Header(name))
    } else {
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMAIL: Email<'_> =
        Email { id: "1", to: "ada@example.org", subject: "Hello", body: "One\nTwo ü" };

    #[test]
    fn a_mail_is_a_message_of_headers_and_text() {
        let folder = tempfile::tempdir().unwrap();
        let mailer = Mailer::new(folder.path().join("spool"), "hello@mysite.example");
        let path = mailer.send(EMAIL).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let (headers, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(headers.starts_with(
            "From: hello@mysite.example\r\nTo: ada@example.org\r\nSubject: Hello\r\nDate: "
        ));
        assert!(headers.contains("\r\nMessage-ID: <1@mysite.example>\r\n"));
        assert_eq!(body, "One\r\nTwo ü\r\n");
    }

    #[test]
    fn a_mail_is_sent_once() {
        let folder = tempfile::tempdir().unwrap();
        let mailer = Mailer::new(folder.path(), "hello@mysite.example");
        let path = mailer.send(EMAIL).unwrap();
        let again = mailer.send(Email { body: "Something else", ..EMAIL }).unwrap();
        assert_eq!(path, again);
        assert!(fs::read_to_string(&path).unwrap().contains("One"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_header_cannot_break_out_of_its_line() {
        let mailer = Mailer::new("/nowhere", "hello@mysite.example");
        let sent = mailer.send(Email { subject: "Hello\r\nBcc: all@example.org", ..EMAIL });
        assert!(matches!(sent, Err(EmailError::Header("subject"))));
        assert!(matches!(mailer.send(Email { id: "../1", ..EMAIL }), Err(EmailError::Id)));
    }
}
