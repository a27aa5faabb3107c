// swift-tools-version: 6.1
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

func layer(_ name: String, imports: [String] = []) -> Target {
  .target(name: name, dependencies: imports.map { .init(stringLiteral: $0) }, swiftSettings: settings)
}

func tests(_ name: String, of imports: [String], exclude: [String] = []) -> Target {
  .testTarget(
    name: name, dependencies: imports.map { .init(stringLiteral: $0) }, exclude: exclude, swiftSettings: settings)
}

// A target imports only targets that stand above it. The stages do not import each other: they meet in AOTArtifacts.
let kernels = ["TensorCore", "LoopIR", "CPUBackend"]
let library = kernels + ["GraphIR", "Operators"]
let artifacts = library + ["EagerAutograd", "AOTArtifacts"]
let stages = ["Capture", "Functionalization", "JointTracing", "Partitioning", "RuntimeWrappers"]
let everything =
  artifacts + stages + ["AOTAutograd", "ModelFormats", "Modules", "AOTAutogradTesting", "Conformance"]

let package = Package(
  name: "AOTAutograd",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "AOTAutograd", targets: ["AOTAutograd"]),
    .library(name: "ModelFormats", targets: ["ModelFormats"]),
    // Apart from the compiler, whose users may bring a Linear or a Module of their own; it re-exports AOTAutograd.
    .library(name: "Modules", targets: ["Modules"]),
    .library(name: "AOTAutogradTesting", targets: ["AOTAutogradTesting"]),
    .executable(name: "aot", targets: ["aot"]),
  ],
  targets: [
    layer("TensorCore"),
    layer("LoopIR", imports: ["TensorCore"]),
    layer("CPUBackend", imports: ["TensorCore", "LoopIR"]),
    layer("GraphIR", imports: ["TensorCore"]),
    layer("Operators", imports: kernels + ["GraphIR"]),
    layer("EagerAutograd", imports: library),
    layer("AOTArtifacts", imports: library + ["EagerAutograd"]),
  ] + stages.map { layer($0, imports: artifacts) } + [
    layer("AOTAutograd", imports: artifacts + stages),
    layer("ModelFormats", imports: library + ["EagerAutograd", "Capture", "AOTAutograd"]),
    layer("Modules", imports: ["AOTAutograd", "ModelFormats"]),
    layer("AOTAutogradTesting", imports: artifacts + stages + ["AOTAutograd"]),
    layer(
      "Conformance", imports: library + ["EagerAutograd", "AOTAutograd", "ModelFormats", "AOTAutogradTesting"]),
    .executableTarget(
      name: "aot", dependencies: everything.map { .init(stringLiteral: $0) }, exclude: ["Data/embed.swift"],
      swiftSettings: settings),
    tests("TensorCoreTests", of: ["TensorCore"]),
    tests("LoopIRTests", of: kernels),
    tests("GraphIRTests", of: ["TensorCore", "GraphIR"]),
    tests("OperatorsTests", of: library),
    tests("EagerAutogradTests", of: library + ["EagerAutograd", "AOTAutogradTesting"]),
    tests("StageTests", of: artifacts + stages),
    tests("AOTAutogradTests", of: everything),
    tests(
      "ModelFormatsTests", of: library + ["EagerAutograd", "AOTAutograd", "ModelFormats", "Modules"],
      exclude: ["Models", "models.py"]),
    tests(
      "ModulesTests", of: ["AOTAutograd", "ModelFormats", "Modules", "AOTAutogradTesting"],
      exclude: ["Facts", "module_facts.py"]),
    tests(
      "ConformanceTests", of: everything, exclude: ["Sample", "sample.py", "ScenarioSample", "scenario_sample.py"]),
    tests("CommandLineTests", of: everything + ["aot"]),
  ],
  swiftLanguageModes: [.v6]
)
