# What shared/gapless/nba/pipeline.yaml and ledger.yaml declare, in the shapes that resources need. No resources here.
# The rules are those of gapless/warehouse/statements.py; tests/architecture/test_terraform.py proves that both agree.

locals {
  pipeline_text = "${file("${path.module}/../shared/gapless/nba/pipeline.yaml")}\n"
  pipeline      = yamldecode(local.pipeline_text)
  ledger        = local.pipeline.ledger
  staging       = "${local.ledger}_staging"

  topics = toset(concat(
    values(local.pipeline.topics),
    [for p in local.pipeline.processors : p.topic if can(p.topic)],
    local.catalogue.topics,
  ))

  all_datasets = toset(concat(
    [for table in local.all_tables : table.dataset],
    [for view in values(local.pipeline.views) : split(".", view)[0]],
    [local.ledger, local.staging],
  ))

  # A decoded mapping forgets the order of its keys, so the order of columns is taken from the text.
  column_order = {
    for name, p in local.pipeline.processors : name => flatten(regexall(
      "(?m)^ {6}([a-z][a-z0-9_]*):",
      try(regex("^(?:    [^\n]*\n|\\s*\n)*?    columns:[^\n]*\n((?:(?: {6}[^\n]*|\\s*)\n)+)",
      split("\n  ${name}:\n", local.pipeline_text)[1])[0], ""),
    ))
  }

  # filled by the engine, after the declared columns; a source has the time only
  engine_columns = ["row_hash INT64", "inputs_hash INT64", "run_id STRING", "processed_at TIMESTAMP"]

  processor_tables = {
    for name, p in local.pipeline.processors : p.table => {
      columns = concat(
        [for column in local.column_order[name] : "${column} ${p.columns[column]}"],
        try(p.run, "sql") == "none" ? ["processed_at TIMESTAMP"] : local.engine_columns,
      )
      partition = p.date_column
      cluster = [
        for column in p.key : column if column != p.date_column && !startswith(p.columns[column], "FLOAT")
      ]
      is_whole = toset(local.column_order[name]) == toset(keys(p.columns))
    }
  }

  ledger_tables = {
    for name, t in yamldecode(file("${path.module}/ledger.yaml")) : "${local.ledger}.${name}" => {
      columns   = t.columns
      partition = try(t.partition, null)
      cluster   = t.cluster
      is_whole  = true
    }
  }

  type_names = { INT64 = "INTEGER", FLOAT64 = "FLOAT", BOOL = "BOOLEAN" } # as the API returns them

  column_pattern = join("", [
    "^(?P<name>\\w+) (?P<type>[A-Z0-9]+)(?:\\((?P<precision>\\d+), *(?P<scale>\\d+)\\))?",
    "(?P<required> required)?",
  ])

  all_tables = {
    for id, table in merge(local.processor_tables, local.ledger_tables) : id => {
      dataset   = split(".", id)[0]
      name      = split(".", id)[1]
      partition = table.partition
      cluster   = slice(table.cluster, 0, min(4, length(table.cluster)))
      is_whole  = table.is_whole
      schema = [
        for column in [for text in table.columns : regex(local.column_pattern, text)] : {
          for key, value in {
            name      = column.name
            type      = lookup(local.type_names, column.type, column.type)
            mode      = column.required == null ? "NULLABLE" : "REQUIRED"
            precision = column.precision # texts: the API has them as such
            scale     = column.scale
          } : key => value if value != null
        }
      ]
    }
  }
}
