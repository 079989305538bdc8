//! Queries of pumps to plans: which stream they read, what they give, and how they are cut into windows.
//!
//! A query reads one stream. With GROUP BY it must have one expression on ROWTIME, STEP or FLOOR: a tumbling window
//! ("Tumbling Windows (Aggregations Using GROUP BY)" of the developer guide). Joins, sliding and stagger windows,
//! subqueries, DISTINCT and ORDER BY are refused by name.

use sqlparser::ast::{
    CeilFloorKind, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, ObjectName, ObjectNamePart,
    Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Spanned,
    TableFactor,
};

use super::code::fold;
use super::expression::{Scope, Typed, unit};
use super::{Field, Pump, Refused, Stream, Window};

/// The names that a query may use.
pub(super) struct Names<'a> {
    pub(super) streams: &'a [Stream],
    /// Tables of reference data, which the local cloud does not have.
    pub(super) tables: &'a [String],
}

/// The head of a pump.
pub(super) struct Head<'a> {
    pub(super) name: &'a str,
    pub(super) target: usize,
    /// Columns of the target in the order of the query; ROWTIME has no place.
    pub(super) columns: &'a [Option<usize>],
    pub(super) line: u64,
}

/// Plans a pump, the parts numbered from `number` on: one for each member of a UNION ALL.
pub(super) fn plan(names: &Names<'_>, head: &Head<'_>, query: &Query, number: usize) -> Result<Vec<Pump>, Refused> {
    let refuse = |what: &str| Err(Refused::unsupported(what.to_owned(), head.line));
    if query.with.is_some() {
        return refuse("WITH");
    }
    if query.order_by.is_some() {
        return refuse("ORDER BY");
    }
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return refuse("LIMIT");
    }
    if !query.locks.is_empty() || query.for_clause.is_some() || !query.pipe_operators.is_empty() {
        return refuse("a clause after the query");
    }
    body(names, head, &query.body, number)
}

fn body(names: &Names<'_>, head: &Head<'_>, given: &SetExpr, number: usize) -> Result<Vec<Pump>, Refused> {
    match given {
        SetExpr::Select(query) => Ok(vec![select(names, head, query, number)?]),
        SetExpr::Query(query) => plan(names, head, query, number),
        SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right } => {
            let mut parts = body(names, head, left, number)?;
            parts.extend(body(names, head, right, number + parts.len())?);
            Ok(parts)
        }
        SetExpr::SetOperation { op, set_quantifier, .. } => {
            Err(Refused::unsupported(format!("{op} {set_quantifier}").trim().to_owned(), head.line))
        }
        _ => Err(Refused::unsupported("a pump without SELECT".to_owned(), head.line)),
    }
}

fn select(names: &Names<'_>, head: &Head<'_>, query: &Select, number: usize) -> Result<Pump, Refused> {
    clauses(query)?;
    let (source, alias) = table(names, head, query)?;
    let stream = &names.streams[source];
    let mut scope = Scope::new(stream, alias, head.line);
    let kept = query.selection.as_ref().map(|condition| scope.condition(condition)).transpose()?;
    let window = group(&mut scope, query)?;
    let items = items(&scope, query)?;
    let having = query.having.as_ref().map(|condition| scope.condition(condition)).transpose()?;
    if window.is_none() && having.is_some() {
        return Err(Refused::unsupported("HAVING without GROUP BY".to_owned(), head.line));
    }
    let fields = fields(names, head, &items)?;
    let list = items.iter().map(|item| item.sql.as_str()).collect::<Vec<_>>().join(", ");
    let mut sql = match window {
        None => format!("SELECT _row, _time, {list} FROM r{source} WHERE _row BETWEEN ?1 AND ?2 AND ?3 IS NOT NULL"),
        Some(_) => {
            format!("SELECT 0, ?2, {list} FROM h{number} WHERE _time >= ?1 AND _time < ?2 AND ?3 IS NOT NULL")
        }
    };
    if let Some(kept) = kept {
        sql += &format!(" AND {kept}");
    }
    match scope.groups.filter(|groups| !groups.is_empty()) {
        Some(groups) => sql += &format!(" GROUP BY {}", groups.join(", ")),
        None => sql += " ORDER BY _row",
    }
    if let Some(having) = having {
        sql += &format!(" HAVING {having}");
    }
    Ok(Pump { name: head.name.to_owned(), source, target: head.target, sql, fields, window })
}

fn clauses(query: &Select) -> Result<(), Refused> {
    let named = [
        (query.distinct.is_some(), "SELECT DISTINCT"),
        (query.top.is_some(), "TOP"),
        (query.into.is_some(), "SELECT INTO"),
        (!query.lateral_views.is_empty(), "LATERAL VIEW"),
        (!query.named_window.is_empty(), "WINDOW (a sliding window)"),
        (query.qualify.is_some(), "QUALIFY"),
        (query.prewhere.is_some() || !query.connect_by.is_empty(), "PREWHERE or CONNECT BY"),
        (!query.cluster_by.is_empty() || !query.distribute_by.is_empty(), "CLUSTER BY or DISTRIBUTE BY"),
        (!query.sort_by.is_empty(), "SORT BY"),
        (query.select_modifiers.is_some() || query.value_table_mode.is_some(), "a word after SELECT"),
        (query.exclude.is_some(), "EXCLUDE"),
    ];
    match named.iter().find(|(there, _)| *there) {
        Some((_, what)) => Err(Refused::unsupported((*what).to_owned(), query.select_token.0.span.start.line)),
        None => Ok(()),
    }
}

fn line(found: &impl Spanned, head: &Head<'_>) -> u64 {
    match found.span().start.line {
        0 => head.line,
        line => line,
    }
}

fn table(names: &Names<'_>, head: &Head<'_>, query: &Select) -> Result<(usize, String), Refused> {
    let refuse = |what: &str| Err(Refused::unsupported(what.to_owned(), query.select_token.0.span.start.line));
    let [table] = query.from.as_slice() else {
        return refuse(if query.from.is_empty() { "SELECT without FROM" } else { "a join of streams" });
    };
    if !table.joins.is_empty() {
        return refuse("JOIN");
    }
    let TableFactor::Table { name, alias, args: None, with_hints, .. } = &table.relation else {
        return refuse("a subquery or function in FROM");
    };
    if !with_hints.is_empty() || alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
        return refuse("a table alias with columns");
    }
    let wanted = last(name);
    if names.tables.contains(&wanted) {
        return refuse(&format!("the reference table {wanted}, which S3 would hold"));
    }
    let found = names.streams.iter().position(|stream| stream.name == wanted);
    let text = || Refused::unknown(format!("Table '{wanted}' not found"), line(name, head));
    let source = found.ok_or_else(text)?;
    Ok((source, alias.as_ref().map_or(wanted.clone(), |alias| fold(&alias.name))))
}

fn last(name: &ObjectName) -> String {
    match name.0.last() {
        Some(ObjectNamePart::Identifier(name)) => fold(name),
        _ => name.to_string(),
    }
}

fn group(scope: &mut Scope<'_>, query: &Select) -> Result<Option<Window>, Refused> {
    let GroupByExpr::Expressions(given, modifiers) = &query.group_by else {
        return Err(Refused::unsupported("GROUP BY ALL".to_owned(), scope.line));
    };
    if !modifiers.is_empty() {
        return Err(Refused::unsupported("GROUP BY with modifiers".to_owned(), scope.line));
    }
    if given.is_empty() {
        return Ok(None);
    }
    let rendered = given.iter().map(|expr| Ok(scope.render(expr)?.sql)).collect::<Result<Vec<_>, Refused>>()?;
    let window = given.iter().find_map(|expr| window(scope, expr));
    let refused = || {
        Refused::unsupported("GROUP BY without STEP or FLOOR of ROWTIME (no window would ever end)".into(), scope.line)
    };
    let window = window.ok_or_else(refused)?;
    scope.groups = Some(rendered);
    Ok(Some(window))
}

/// Finds the window that a grouping expression makes: STEP or FLOOR of ROWTIME itself.
fn window(scope: &Scope<'_>, expr: &Expr) -> Option<Window> {
    let is_time = |expr: &Expr| scope.render(expr).is_ok_and(|found| found.sql == "_time");
    match expr {
        Expr::Nested(inner) => window(scope, inner),
        Expr::Floor { expr, field: CeilFloorKind::DateTimeField(field) } if is_time(expr) => {
            unit(field).map(Window::Unit)
        }
        Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("STEP") => {
            let FunctionArguments::List(list) = &call.args else { return None };
            let [FunctionArg::Unnamed(FunctionArgExpr::Expr(value)), FunctionArg::Unnamed(FunctionArgExpr::Expr(by))] =
                list.args.as_slice()
            else {
                return None;
            };
            let by = scope.render(by).ok()?.sql.parse().ok().filter(|by| *by > 0)?;
            is_time(value).then_some(Window::Step(by))
        }
        _ => None,
    }
}

fn items(scope: &Scope<'_>, query: &Select) -> Result<Vec<Typed>, Refused> {
    let mut found = Vec::new();
    for item in &query.projection {
        match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                found.push(item_of(scope, expr)?);
            }
            SelectItem::Wildcard(options) if options.to_string().is_empty() => all(scope, &mut found)?,
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _)
                if last(name) == scope.alias =>
            {
                all(scope, &mut found)?;
            }
            other => return Err(Refused::unsupported(format!("the column {other}"), scope.line)),
        }
    }
    Ok(found)
}

/// ROWTIME by itself is, in a grouped query, the time at which the window ends.
fn item_of(scope: &Scope<'_>, expr: &Expr) -> Result<Typed, Refused> {
    let plain = scope.plain().render(expr);
    match plain {
        Ok(plain) if scope.groups.is_some() && plain.sql == "_time" => Ok(Typed::new("?2", plain.kind)),
        _ => scope.render(expr),
    }
}

fn all(scope: &Scope<'_>, found: &mut Vec<Typed>) -> Result<(), Refused> {
    if scope.groups.is_some() {
        return Err(Refused::invalid("* in a grouped query".to_owned(), scope.line));
    }
    let columns = scope.stream.columns.iter().enumerate().filter(|(_, column)| !column.hidden);
    found.extend(columns.map(|(place, column)| Typed::new(format!("c{place}"), column.kind)));
    Ok(())
}

fn fields(names: &Names<'_>, head: &Head<'_>, items: &[Typed]) -> Result<Vec<Field>, Refused> {
    if items.len() != head.columns.len() {
        let (given, wanted) = (items.len(), head.columns.len());
        let text = format!("Pump '{}' selects {given} columns for {wanted} of its target", head.name);
        return Err(Refused::invalid(text, head.line));
    }
    let target = &names.streams[head.target];
    let fit = |(item, column): (&Typed, &Option<usize>)| {
        let (name, to) = match column {
            Some(place) => (target.columns[*place].name.as_str(), target.columns[*place].kind),
            None => ("ROWTIME", super::value::Type::Timestamp),
        };
        if super::expression::alike(item.kind, to) {
            return Ok(Field { column: *column, from: item.kind });
        }
        let text =
            format!("Cannot assign to target field '{name}' of type {to} from source field of type {}", item.kind);
        Err(Refused::invalid(text, head.line))
    };
    items.iter().zip(head.columns).map(fit).collect()
}
