"""Which functions hold no real work. The first reason that holds counts, once for each function."""

import ast
import re

from source_file import FUNCTIONS

NOT_IMPLEMENTED = re.compile(r"not[\s_-]*(?:yet[\s_-]*)?implemented|unimplemented|\bTODO\b|implement me", re.I)
TODO = re.compile(
    r"\b(?:TODO|FIXME|TBD|XXX)\b|\bstub\b|placeholder|not (?:yet )?implemented|implement (?:me|this|later)", re.I
)
# The whole of a text that stands where an answer should be.
PLACEHOLDER = re.compile(
    r"^\W*(?:lorem ipsum\b.*|coming soon|under construction|placeholder(?: text)?"
    r"|(?:this is )?not (?:yet )?implemented(?: yet)?|to be (?:done|defined|implemented)"
    r"|(?:dummy|sample) (?:text|data)|tbd)\W*$",
    re.I | re.S,
)
PLACEHOLDER_MARK = re.compile(r"^\W*(?:TODO|FIXME|XXX)\b")
# Only declared, by the language's own means: the work stands elsewhere.
DECLARED = {"abstractmethod", "abstractproperty", "abstractclassmethod", "abstractstaticmethod", "overload"}
STATUS_CALLS = {"abort", "send_response", "send_error", "status", "HTTPException", "Response", "make_response"}


def last_name(node):
    if isinstance(node, ast.Call):
        return last_name(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def functions_of(tree):
    """Every function that promises work, with its enclosing class."""

    def visit(node, owner):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                yield from visit(child, child)
                continue
            if isinstance(child, FUNCTIONS) and not is_declared(child, owner):
                yield child
            yield from visit(child, None if isinstance(child, FUNCTIONS) else owner)

    return list(visit(tree, None))


def is_declared(function, owner):
    if any(last_name(decorator) in DECLARED for decorator in function.decorator_list):
        return True
    in_protocol = owner is not None and any(last_name(strip(base)) == "Protocol" for base in owner.bases)
    return in_protocol and all(is_empty(part) for part in body_of(function))


def strip(node):
    return node.value if isinstance(node, ast.Subscript) else node


def body_of(function):
    return function.body[1:] if ast.get_docstring(function, False) is not None else function.body


def is_empty(statement):
    if isinstance(statement, ast.Pass):
        return True
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def own_nodes(body):
    """The nodes of a body that belong to no function inside it."""
    pending = list(body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, FUNCTIONS + (ast.Lambda, ast.ClassDef)):
            pending.extend(ast.iter_child_nodes(node))


def raises_not_implemented(node):
    if not isinstance(node, ast.Raise) or node.exc is None:
        return False
    return last_name(node.exc) in ("NotImplementedError", "NotImplemented") or any(
        isinstance(part, ast.Constant) and isinstance(part.value, str) and NOT_IMPLEMENTED.search(part.value)
        for part in ast.walk(node.exc)
    )


def is_501(node):
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value == 501


def answers_501(node):
    if isinstance(node, ast.Call):
        in_place = last_name(node.func) in STATUS_CALLS and any(is_501(arg) for arg in node.args)
        return in_place or any(
            is_501(word.value) and word.arg in ("status", "status_code", "code") for word in node.keywords
        )
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        return any(is_501(part) for part in node.value.elts)
    if isinstance(node, ast.Assign) and is_501(node.value):
        return any(last_name(target) in ("status", "status_code") for target in node.targets)
    return False


def is_constant(node):
    if node is None or isinstance(node, ast.Constant):
        return True
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return all(is_constant(part) for part in node.elts)
    if isinstance(node, ast.Dict):
        return all(is_constant(part) for part in [*node.keys, *node.values])
    return isinstance(node, ast.UnaryOp) and is_constant(node.operand)


def is_trivial(body):
    def small(part):
        if isinstance(part, ast.Return):
            return is_constant(part.value)
        prints = isinstance(part, ast.Expr) and isinstance(part.value, ast.Call) and last_name(part.value) == "print"
        return is_empty(part) or prints

    return len(body) <= 2 and all(small(part) for part in body)


def is_answer(body):
    """A body that only gives back, prints or sends constants."""
    if is_trivial(body):
        return True
    sent = body[0].value if len(body) == 1 and isinstance(body[0], (ast.Return, ast.Expr)) else None
    return isinstance(sent, ast.Call) and all(
        is_constant(part) for part in [*sent.args, *(word.value for word in sent.keywords)]
    )


def is_placeholder(text):
    return PLACEHOLDER.search(text) is not None or PLACEHOLDER_MARK.search(text) is not None


def notes_of(function, source):
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    comments = {token.start[0]: token.string for token in source.comments}
    alone = {token.start[0] for token in source.comments if token.line.lstrip().startswith("#")}
    while first - 1 in alone:
        first -= 1
    inside = [text for line, text in comments.items() if first <= line <= function.end_lineno]
    printed = [
        argument.value
        for node in own_nodes(function.body)
        if isinstance(node, ast.Call)
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
    return [*inside, *printed, ast.get_docstring(function) or ""]


def stub_of(function, source):
    body = body_of(function)
    if all(is_empty(part) for part in body):
        return "stub/empty-body", "%s has an empty body: implement it" % function.name
    own = list(own_nodes(body))
    if any(raises_not_implemented(node) for node in own):
        return "stub/not-implemented", "%s raises that it is not implemented" % function.name
    if any(answers_501(node) for node in own):
        return "stub/route-501", "%s answers 501 Not Implemented" % function.name
    if is_trivial(body) and any(TODO.search(note) for note in notes_of(function, source)):
        return "stub/todo-only", "%s does nothing but hold a note that it is still to be done" % function.name
    texts = [node.value for node in own if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    if is_answer(body) and any(is_placeholder(text) for text in texts):
        return "stub/placeholder-text", "%s answers with placeholder text" % function.name
    return None
