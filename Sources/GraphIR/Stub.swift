extension OperatorSchema { public init(parsing: String) throws { throw GraphError(.syntax, "") } }
