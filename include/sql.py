"""Texts and names of others within SQL, for the places where it takes no parameter."""


def literal(text: object) -> str:
    """A text or path as an SQL string."""
    return "'" + str(text).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name of a table or column as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
