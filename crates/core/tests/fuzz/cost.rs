//! Work grows as the text does: four times the text takes about four times as long, not sixteen.

use std::time::{Duration, Instant};

use reconcile_core::limits;

use super::Reader;

/// The processor's time of this thread where the system tells it, so that a busy machine does not count; else the time.
fn spent(work: impl FnOnce()) -> Duration {
    let used = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let (begun, before) = (Instant::now(), used());
    work();
    match (before, used()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => begun.elapsed(),
    }
}

/// The least of some tries, which other work of the machine disturbs least.
fn cost(reader: Reader, text: &str) -> Duration {
    (0..3)
        .map(|_| {
            spent(|| {
                reader.read(text);
            })
        })
        .min()
        .unwrap_or_default()
}

/// A text of about so many bytes of a sort that could take long.
fn texts(bytes: usize) -> Vec<(&'static str, Reader, String)> {
    let repeated = |piece: &str| piece.repeat(bytes / piece.len());
    let lines = |line: fn(usize) -> String| {
        let mut text = String::new();
        for number in 0.. {
            let next = line(number);
            if text.len() + next.len() > bytes {
                break;
            }
            text.push_str(&next);
        }
        text
    };
    let resources = |count: usize| {
        let entries: Vec<String> = (0..count)
            .map(|n| format!("\"target.www.i-{n:017x}\":{{\"id\":\"{n}\",\"origin\":\"created\",\"recorded_at\":\"2026-01-01T00:00:00Z\"}}"))
            .collect();
        format!(
            "{{\"format_version\":1,\"lineage\":\"a\",\"serial\":1,\"stack\":\"www\",\"account\":null,\"region\":null,\
             \"resources\":{{{}}},\"retired\":[],\"intents\":{{}},\"cutovers\":{{}},\"saved\":{{}}}}",
            entries.join(",")
        )
    };
    vec![
        ("lines that are none", Reader::Config, repeated("x y z\n")),
        ("one line without end", Reader::Config, repeated("= ")),
        ("one word without end", Reader::Config, repeated("x")),
        ("quotes", Reader::Config, repeated("\"'")),
        ("brackets", Reader::Config, repeated("[")),
        ("unknown keys", Reader::Config, lines(|n| format!("key{n} = 1\n"))),
        ("one unknown key", Reader::Config, format!("{} = 1\n", repeated("k"))),
        ("the same key", Reader::Config, repeated("name = \"a\"\n")),
        (
            "sites",
            Reader::Config,
            lines(|n| {
                format!(
                    "[site.s{n}]\ndomain = \"s{n}.example.com\"\ninstance = \"i-0123456789abcdef0\"\nhealth.path = \"/\"\n"
                )
            }),
        ),
        (
            "sites without anything",
            Reader::Config,
            lines(|n| format!("[site.s{n}]\n")),
        ),
        (
            "tags",
            Reader::Config,
            format!("[tags]\n{}", lines(|n| format!("t{n} = \"\\u001b\"\n"))),
        ),
        (
            "aliases",
            Reader::Config,
            format!(
                "[site.www]\naliases = [{}]\n",
                lines(|n| format!("\"a{n}.example.com\",\n"))
            ),
        ),
        (
            "adopted objects",
            Reader::Config,
            format!("adopt = [{}]\n", lines(|n| format!("\"sg-{n:08x}\",\n"))),
        ),
        ("dotted keys", Reader::Config, lines(|n| format!("a.b{n}.c = 1\n"))),
        ("resources", Reader::State, resources(bytes / 110)),
        (
            "one string",
            Reader::State,
            format!("{{\"format_version\":1,\"lineage\":\"{}", repeated("\\u00e9")),
        ),
        (
            "the same field",
            Reader::State,
            format!("{{{}", repeated("\"serial\":1,")),
        ),
        (
            "steps",
            Reader::Plan,
            format!("{{\"steps\":[{}", repeated("{\"id\":1},")),
        ),
    ]
}

#[test]
fn work_grows_as_the_text_does() {
    let (little, much) = (limits::CONFIG_BYTES / 10, limits::CONFIG_BYTES / 10 * 4);
    for ((what, reader, small), (_, _, large)) in texts(little).into_iter().zip(texts(much)) {
        let (short, long) = (cost(reader, &small), cost(reader, &large));
        println!(
            "{what}: {short:?} for {} bytes, {long:?} for {}",
            small.len(),
            large.len()
        );
        // What takes no time at all tells nothing.
        let grown = long.as_secs_f64() / short.as_secs_f64().max(0.01);
        assert!(
            grown < 10.0,
            "{what}: {grown:.1} times as long for 4 times the text: {short:?}, {long:?}"
        );
    }
}
