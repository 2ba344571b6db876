//! Damage of documents: flipped bits, lost and doubled pieces, cuts, and brackets without end.

use proptest::{prelude::*, sample::Index};

/// One piece of damage.
#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Remove(Index, Index),
    Double(Index, Index),
    Put(Index, String),
    Swap(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 0..8_u8).prop_map(|(place, bit)| Damage::Flip(place, bit)),
        at().prop_map(Damage::Cut),
        (at(), at()).prop_map(|(start, end)| Damage::Remove(start, end)),
        (at(), at()).prop_map(|(start, end)| Damage::Double(start, end)),
        (at(), piece()).prop_map(|(place, piece)| Damage::Put(place, piece)),
        (at(), at()).prop_map(|(one, other)| Damage::Swap(one, other)),
    ]
}

/// Pieces that mean something to a parser, to a check, or to a terminal.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "\"",
            "'''",
            "\"\"\"",
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            "=",
            "\\",
            "\0",
            "\u{1b}[2J",
            "\u{feff}",
            "\u{202e}",
            "\\ud800",
            "\\u0000",
            "null",
            "true",
            "-0",
            "1e999",
            "99999999999999999999999",
            "0x1F",
            "NaN",
            "../../x",
            "arn:aws:",
            "*.",
            "xn--",
            "2026-02-30T25:61:61Z",
            "-9999-01-01T00:00:00Z",
            "\u{1f468}\u{200d}\u{1f469}",
        ])
        .prop_map(str::to_owned),
        (".", 0..400_usize).prop_map(|(letter, count)| letter.repeat(count)),
        ".{0,8}",
    ]
}

/// The text with some damage.
pub(crate) fn damaged(text: String) -> impl Strategy<Value = String> {
    prop::collection::vec(damage(), 1..5).prop_map(move |damages| {
        let mut bytes = text.clone().into_bytes();
        for damage in damages {
            apply(&mut bytes, &damage);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let length = bytes.len();
    // Whole tokens, near enough: up to the next blank or sign.
    let token = |start: usize| {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b",:=[]{}".contains(byte);
        start
            + bytes
                .get(start + 1..)
                .unwrap_or_default()
                .iter()
                .position(ends)
                .map_or(1, |at| at + 1)
    };
    match damage {
        Damage::Flip(place, bit) if length > 0 => bytes[place.index(length)] ^= 1 << bit,
        Damage::Cut(place) => bytes.truncate(place.index(length + 1)),
        Damage::Remove(start, end) => {
            let start = start.index(length + 1);
            let end = (start + end.index(40)).max(token(start).min(length)).min(length);
            bytes.drain(start.min(end)..end);
        }
        Damage::Double(start, end) => {
            let start = start.index(length + 1);
            let end = (start + end.index(200)).min(length);
            let piece = bytes.get(start..end).unwrap_or_default().to_vec();
            bytes.splice(end..end, piece);
        }
        Damage::Put(place, piece) => {
            let place = place.index(length + 1);
            bytes.splice(place..place, piece.bytes());
        }
        Damage::Swap(one, other) if length > 0 => bytes.swap(one.index(length), other.index(length)),
        Damage::Flip(..) | Damage::Swap(..) => {}
    }
}

/// The text cut at places all over it.
pub(crate) fn cut(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim_end();
    let step = (text.len() / 200).max(1);
    (0..text.len())
        .step_by(step)
        .map(move |end| &text[..text.floor_char_boundary(end)])
}

/// Texts that are nested so deeply, closed or not.
pub(crate) fn nested(depth: usize) -> Vec<String> {
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    let mut texts = vec![
        open.clone(),
        format!("{open}{close}"),
        format!("a = {open}{close}\n"),
        format!("a = {}\n", "{ a = ".repeat(depth)),
        format!("a = {}1{}\n", "{ a = ".repeat(depth), " }".repeat(depth)),
        format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)),
        format!("{{\"format_version\": 1, \"saved\": {open}{close}}}"),
        "{\"format_version\":".repeat(depth),
    ];
    texts.push(format!("a{} = 1\n", ".a".repeat(depth)));
    texts.push(format!("[a{}]\n", ".a".repeat(depth)));
    texts
}
