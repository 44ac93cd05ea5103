"""A folder of images and captions as a bake sees it. Pillow and numpy only, imported where pixels are touched.

`scan` opens a folder, `rows` and `tags` show it, `captions` and `sidecar` change it, `buckets` and `plan` say what a
bake takes from it, `manifest` freezes that, `pixels` gives the pictures (`decode` opens them, `thumbs` keeps small
ones), `names` keeps every path inside. `checks` is the doctor (on `facts`, `duplicates`, `tokens`, `encodings`),
`fixes` mends what it finds and `edits` takes that back. `crop` chooses the part that trains, `focus` finds the
subject. Runs, models and presets are left to others.
"""
