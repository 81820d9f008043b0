//! Text and bytes in the quotes and with the escapes of Python's `repr`.

/// `repr` of a `str`.
pub(super) fn text(text: &str) -> String {
    let quote = quote_for(text.contains('\''), text.contains('"'));
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_shown(c) => out.push(c),
            c => match u32::from(c) {
                code @ ..=0xff => out.push_str(&format!("\\x{code:02x}")),
                code @ ..=0xffff => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
    out
}

/// `repr` of a `bytes`.
pub(super) fn bytes(bytes: &[u8]) -> String {
    let quote = quote_for(bytes.contains(&b'\''), bytes.contains(&b'"'));
    let mut out = format!("b{quote}");
    for byte in bytes {
        match char::from(*byte) {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c == ' ' || c.is_ascii_graphic() => out.push(c),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push(quote);
    out
}

/// Double quotes spare the escapes of single ones.
fn quote_for(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

/// Whether a character can be seen: `isprintable`, but for characters that are not assigned or have no shape of
/// their own, which are shown here.
fn is_shown(c: char) -> bool {
    c == ' ' || !(c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_as_python_quotes_it() {
        let check = |given: &str, expected: &str| assert_eq!(text(given), expected);
        check("plain", "'plain'");
        check("it's", "\"it's\"");
        check("say \"it's\"", r#"'say "it\'s"'"#);
        check("say \"hi\"", "'say \"hi\"'");
        check("a\\b\n\r\t", r"'a\\b\n\r\t'");
        check("\u{7}\u{7f}\u{a0}\u{2028}ü🦀", r"'\x07\x7f\xa0\u2028ü🦀'");
    }

    #[test]
    fn bytes_are_quoted_as_python_quotes_them() {
        assert_eq!(bytes(b"it's\n\xff\\"), r#"b"it's\n\xff\\""#);
        assert_eq!(bytes("ü".as_bytes()), r"b'\xc3\xbc'");
    }
}
