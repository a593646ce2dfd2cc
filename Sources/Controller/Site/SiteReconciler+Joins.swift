import Certificates
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkAPI
import NetworkModel
import ProxyContract
import StatusSummaries

// Sites that come by a token, and tokens of this site's Links.
extension SiteReconciler {
    /// Writes down who has proved to hold a token, which lets them in; reads the tokens of Links.
    ///
    /// What lets a site in is one write of one Secret, with the version that was read. Whoever is stopped before it finds the claim
    /// again in the gateways' snapshots, and whoever is stopped after it finds it done.
    func keepJoins(
        _ site: Site,
        _ record: inout SiteRecord,
        _ objects: inout SiteObjects
    ) async -> ReconcileResult {
        record.tokenProblems = objects.tokenProblems(site)
        let claims = shared.view(of: record).gateways
            .flatMap { $0.snapshot?.claims ?? [] }
        guard !claims.isEmpty, let secret = objects.secrets.grants else { return .done }
        var ledger = GrantLedger(secret)
        do {
            _ = try ledger.admit(claims)
            // Before it is written: a controller that is stopped between is followed by one that tells it under the same name, and one that
            // is stopped after it may be followed by one that finds the claim over.
            for joined in claims where ledger.hasAdmitted(joined) {
                await shared.writer.tell(Transitions.joined(site, joined))
            }
            if !ledger.changes.isEmpty {
                objects.secrets.grants = try await shared.writer.change(secret, ledger.changes)
            }
            return .done
        } catch {
            // They stand in the snapshots until that works; all else goes on.
            shared.logger.warning(
                "a site that came by a token cannot be let in yet",
                metadata: ["site": "\(site.key)", "error": "\(error)"]
            )
            objects.sought.remove(ChildName.grantsSecret)
            return .again(after: .seconds(2))
        }
    }
}

extension SiteObjects {
    /// What tokens add to the configuration.
    var joins: Joins {
        let tokens = secrets.tokens.compactMapValues { stored -> TokenConfiguration? in
            guard let token = try? JoinToken(stored) else { return nil }
            return TokenConfiguration(grant: token.grant, key: JoinSecret.key(of: token.secret))
        }
        return Joins(GrantLedger(secrets.grants), tokens: tokens)
    }

    /// Why Links cannot use their tokens, by the names of the Secrets.
    func tokenProblems(_ site: Site) -> [String: String] {
        var problems = unread
        problems[site.authoritySecret] = nil
        for name in sought where secrets.tokens[name] == nil && problems[name] == nil {
            problems[name] = "there is no Secret \(name)"
        }
        for (name, stored) in secrets.tokens {
            do {
                _ = try JoinToken(stored)
            } catch {
                problems[name] = "the Secret \(name) is no token: \(error)"
            }
        }
        return problems
    }
}
