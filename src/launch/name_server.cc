#include "launch/name_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/log.h"

namespace sterna::launch {
namespace {

// What a worker can make the server do with questions: so many at once, so many a second.
constexpr double kBurst = 200;
constexpr double kPerSecond = 100;
constexpr std::size_t kMaxAsked = 64;
constexpr std::size_t kMaxQuery = 1024;
constexpr std::size_t kMaxTold = 16;
// Whoever keeps an answer this long still finds the address admitted.
constexpr std::uint32_t kMaxTtl = std::chrono::seconds(sandbox::kAdmissionTime).count() / 2;

}  // namespace

NameServer::NameServer(net::Loop& loop, net::Resolver& resolver, sandbox::NameSockets sockets,
                       std::vector<HostTarget> allowed, std::vector<sandbox::EgressRule> rules)
    : loop_(loop),
      resolver_(resolver),
      sockets_(std::move(sockets)),
      allowed_(std::move(allowed)),
      rules_(std::move(rules)),
      allowance_(kPerSecond, kBurst) {
  static_cast<void>(loop_.add(sockets_.questions.get(), *this, EPOLLIN | EPOLLET));
}

NameServer::~NameServer() {
  loop_.cancel(rest_);
  for (const auto& [number, asked] : asked_) resolver_.cancel(asked.ticket);
  loop_.remove(sockets_.questions.get(), *this);
}

void NameServer::on_event(std::uint32_t) {
  if (!resting_) read_questions();
}

// What comes while it rests waits in the socket, or is lost there.
void NameServer::read_questions() {
  while (true) {
    if (const Duration wait = allowance_.wait(loop_.now()); wait > Duration::zero()) {
      resting_ = true;
      rest_ = loop_.after(wait, [this] {
        resting_ = false;
        read_questions();
      });
      return;
    }
    char packet[kMaxQuery];
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t got = ::recvfrom(sockets_.questions.get(), packet, sizeof packet, 0,
                                   reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return;
    allowance_.take(1, loop_.now());
    if (auto question = parse_dns_query({packet, static_cast<std::size_t>(got)}))
      handle(from, std::move(*question));
  }
}

void NameServer::handle(const sockaddr_in& from, DnsQuestion question) {
  const bool allowed = !question.name.empty() && std::ranges::any_of(allowed_, [&](const HostTarget& target) {
    return target.host.matches(question.name);
  });
  const bool for_address = question.type == kDnsTypeA || question.type == kDnsTypeAaaa;
  Asked asked{.from = from, .question = std::move(question)};
  if (!allowed) return answer(asked, DnsCode::kNoName, {});
  if (!for_address) return answer(asked, DnsCode::kNoError, {});
  if (asked_.size() >= kMaxAsked) return answer(asked, DnsCode::kServerFailure, {});
  const auto family =
      asked.question.type == kDnsTypeA ? net::Resolver::Family::kV4 : net::Resolver::Family::kV6;
  const std::uint64_t number = next_++;
  asked.ticket =
      resolver_.ask(asked.question.name, family,
                    [this, number](const net::Resolution& resolution) { on_resolved(number, resolution); });
  asked_.emplace(number, std::move(asked));
}

void NameServer::on_resolved(std::uint64_t number, const net::Resolution& resolution) {
  const auto asked = asked_.extract(number);
  if (asked.empty()) return;
  switch (resolution.outcome) {
    case net::Resolution::Outcome::kNoName:
      return answer(asked.mapped(), DnsCode::kNoName, {});
    case net::Resolution::Outcome::kFailed:
      return answer(asked.mapped(), DnsCode::kServerFailure, {});
    case net::Resolution::Outcome::kNoAddress:
    case net::Resolution::Outcome::kFound:
      break;
  }
  const auto addresses = admit(asked.mapped().question.name, resolution);
  if (addresses) return answer(asked.mapped(), DnsCode::kNoError, *addresses);
  if (!std::exchange(told_full_, true))
    log::warn("a worker cannot reach a name", {{"error", std::string_view(addresses.error().detail)}});
  answer(asked.mapped(), DnsCode::kServerFailure, {});
}

Result<std::vector<DnsAddress>> NameServer::admit(const std::string& name,
                                                  const net::Resolution& resolution) {
  std::vector<DnsAddress> told;
  std::vector<sandbox::Admission> admitted;
  for (const net::ResolvedAddress& each : resolution.addresses) {
    if (told.size() == kMaxTold || !sandbox::may_admit(rules_, each.address)) continue;
    told.push_back({.address = each.address, .ttl_seconds = std::min(each.ttl_seconds, kMaxTtl)});
    for (const HostTarget& target : allowed_) {
      if (target.host.matches(name)) admitted.push_back({.address = each.address, .port = target.port});
    }
  }
  if (const Status done = sandbox::admit(sockets_.filter.get(), admitted); !done)
    return std::unexpected(done.error());
  return told;
}

void NameServer::answer(const Asked& asked, DnsCode code, const std::vector<DnsAddress>& addresses) const {
  const std::string packet = make_dns_answer(asked.question, code, addresses);
  // One that gets lost is asked for again.
  ::sendto(sockets_.questions.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&asked.from), sizeof asked.from);
}

}  // namespace sterna::launch
