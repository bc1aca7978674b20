//! Help that begins with examples: what a person looks for first.

/// A help template with examples above usage and flags. Examples hold no braces: clap would take
/// them for its own.
#[macro_export]
macro_rules! examples {
    ($($line:literal),+ $(,)?) => {
        concat!(
            "{about-with-newline}\nExamples:\n",
            $("  ", $line, "\n",)+
            "\n{usage-heading} {usage}\n\n{all-args}{after-help}"
        )
    };
}
