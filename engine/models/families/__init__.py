"""One file per family of base models; `load` picks it by the family's name.

A family's file has a `DiffusionModel` of its own, `load_folder(source)` for the diffusers layout and
`load_file(source, vocabulary)` for one safetensors file. What can be told of it without torch, its name in `sniff` and
its sizes in `footprint`, stands there.
"""
