"""The configuration: one pydantic model for every YAML file.

A study file (``study``) names its models and tasks; each has a file of its own, ``models/<model>.yaml`` (``models``)
and ``tasks/<task>.yaml`` (``tasks``), beside the study file, and templates lie in ``templates/`` there. Both name where
things come from (``sources``). ``load`` reads and validates them all, ``mistakes`` tells what is wrong in them, and
``schemas`` and ``reference`` make the schemas for editors and docs/configuration.md from the same models.
"""
