//! Lines of the log.

/// The longest line, in bytes.
const LINE_BYTES_MAX: usize = 4 << 10;

/// What is written of a message.
pub fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(LINE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_line_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = format!("{}ä{}", "a".repeat(4095), "b".repeat(10));
        assert_eq!(cut(&long), "a".repeat(4095));
    }
}
