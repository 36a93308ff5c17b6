"""Text to tree and back: lexer, grammar, parser, tree, formatter."""
