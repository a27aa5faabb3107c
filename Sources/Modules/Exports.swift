// What the user of modules needs comes with them.
@_exported import AOTAutograd
