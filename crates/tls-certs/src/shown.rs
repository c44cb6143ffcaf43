//! What a peer has written, made fit for a message: it may hold anything, in any length.

/// The most characters of one name or the like.
const LONGEST: usize = 120;
/// The most names of a list.
const MOST: usize = 6;

/// A peer's `text` on one line, shortened if it is long. Characters that control a terminal, or that make what follows look
/// like something else, are shown by their number.
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            shown.push('…');
            break;
        }
        if c.is_control() || is_invisible(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Names as a sentence has them, shortened if there are many.
pub(crate) fn listed(names: &[String]) -> String {
    let (named, others) = names.split_at(names.len().min(MOST));
    let mut parts: Vec<_> = named.iter().map(|name| shown(name)).collect();
    if !others.is_empty() {
        parts.push(format!("{} more", others.len()));
    }
    match parts.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

/// Marks of direction and spaces without width (Unicode's general category Cf, as far as it deceives the eye), and the
/// separators of lines.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(shown("Größe \u{1b}[31m\n\u{202e}x\u{7f}\u{9b}"), "Größe \\u{1b}[31m\\u{a}\\u{202e}x\\u{7f}\\u{9b}");
        assert_eq!(shown(&"ä".repeat(LONGEST)), "ä".repeat(LONGEST));
        assert_eq!(shown(&"ä".repeat(1000)), "ä".repeat(LONGEST) + "…");
    }

    #[test]
    fn lists_end() {
        let names = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(listed(&names(0)), "");
        assert_eq!(listed(&names(1)), "1");
        assert_eq!(listed(&names(3)), "1, 2 and 3");
        assert_eq!(listed(&names(1000)), "1, 2, 3, 4, 5, 6 and 994 more");
    }
}
