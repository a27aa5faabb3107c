print("aot")
