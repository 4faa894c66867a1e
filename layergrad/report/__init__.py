"""From statistics to figures, tables and the report. Nothing here reads gradients."""
