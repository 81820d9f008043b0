//! Bodies that strangers made up.

use proptest::prelude::*;

use super::super::*;

const ALL: [Serializer; 3] = [Serializer::Json, Serializer::Msgpack, Serializer::Yaml];

#[test]
fn nesting_beyond_the_limit_is_an_error_and_up_to_it_is_not() {
    let nested = |serializer: Serializer, depth: usize| -> Vec<u8> {
        match serializer {
            Serializer::Msgpack => [vec![0x91; depth - 1], vec![0x90]].concat(),
            Serializer::Json | Serializer::Yaml => [vec![b'['; depth], vec![b']'; depth]].concat(),
        }
    };
    for serializer in ALL {
        let deepest = serializer.decode(&nested(serializer, MAX_DEPTH)).unwrap();
        assert!(serializer.encode(&deepest).is_ok());
        assert!(serializer.decode(&serializer.encode(&deepest).unwrap()).is_ok());
        let deeper = Value::Array(vec![deepest]);
        assert!(matches!(serializer.encode(&deeper), Err(EncodeError::TooDeep)));
        for depth in [MAX_DEPTH + 1, 100_000] {
            let error = serializer.decode(&nested(serializer, depth)).unwrap_err();
            let is_depth = matches!(&error, DecodeError::TooDeep(it) if *it == serializer);
            assert!(is_depth, "{serializer} at {depth}: {error:?}");
        }
        // Never closed.
        let open = if serializer == Serializer::Msgpack { 0x91 } else { b'[' };
        assert!(serializer.decode(&vec![open; 100_000]).is_err());
    }
    let maps = "{\"a\":".repeat(100_000);
    assert!(matches!(Serializer::Json.decode(maps.as_bytes()), Err(DecodeError::TooDeep(_))));
    let dashes = "- ".repeat(100_000);
    assert!(matches!(Serializer::Yaml.decode(dashes.as_bytes()), Err(DecodeError::TooDeep(_))));
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut bomb = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for (this, last) in ('b'..='j').zip('a'..) {
        let nine = vec![format!("*{last}"); 9].join(", ");
        bomb.push_str(&format!("{this}: &{this} [{nine}]\n"));
    }
    let error = Serializer::Yaml.decode(bomb.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("aliases that stand for too much"), "{error}");
}

#[test]
fn aliases_do_not_go_around_the_depth_limit() {
    let level = |inner: &str| format!("{}{inner}{}", "[".repeat(150), "]".repeat(150));
    let source = format!("a: &a {}\nb: &b {}\n", level("1"), level("*a"));
    assert!(matches!(Serializer::Yaml.decode(source.as_bytes()), Err(DecodeError::TooDeep(_))));
}

#[test]
fn a_compression_bomb_is_refused_before_it_is_large() {
    for compression in [Compression::Zlib, Compression::Bzip2, Compression::Zstd] {
        let bomb = compression.compress(&vec![0; 4 << 20]);
        assert!(bomb.len() < 64 << 10);
        let error = compression.decompress_within(&bomb, 1 << 20).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge(_, limit) if limit == 1 << 20), "{error}");
        assert_eq!(compression.decompress_within(&bomb, 4 << 20).unwrap().len(), 4 << 20);
        assert!(compression.decompress(&bomb[..bomb.len() / 2]).is_err(), "{compression} cut off");
        assert!(compression.decompress(b"no such stream").is_err());
        assert!(compression.decompress(b"").is_err(), "{compression} of nothing");
    }
}

#[test]
fn msgpack_that_promises_more_than_it_has_is_refused() {
    for bytes in [
        &[0xdd, 0xff, 0xff, 0xff, 0xff][..],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0xdb, 0xff, 0xff, 0xff, 0xff],
        &[0xa1, 0xff],
        &[0x90, 0x90],
        &[0xd4, 5, 0],
        &[0xd4, 0xff, 0],
        &[0x81, 0x90, 0x90],
        &[],
    ] {
        assert!(Serializer::Msgpack.decode(bytes).is_err(), "{bytes:x?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in any::<Vec<u8>>()) {
        for serializer in ALL {
            let _ = serializer.decode(&bytes);
        }
        for compression in [Compression::Zlib, Compression::Bzip2, Compression::Zstd] {
            let _ = compression.decompress_within(&bytes, 1 << 20);
        }
    }

    #[test]
    fn no_text_makes_a_decoder_panic(text in "[-\\[\\]{}:,\"'&*!|>?#%@a1.NI \n\\\\ué~<]{0,60}") {
        for serializer in ALL {
            let _ = serializer.decode(text.as_bytes());
        }
    }
}
