import ArgumentParser
import ProxyProcess

@main
enum Main {
    // Off the main actor: nothing here is bound to a thread.
    @concurrent static func main() async {
        await ProxyCommand.main()
    }
}
