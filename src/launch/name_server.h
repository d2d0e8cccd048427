// Answers the questions for names of one worker that may reach named hosts only, and opens its network to
// what they lead to before the worker learns it.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/host_pattern.h"
#include "base/token_bucket.h"
#include "launch/dns_message.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "sandbox/admission.h"
#include "sandbox/egress_rules.h"
#include "sandbox/network_visit.h"

namespace sterna::launch {

// A name that is not allowed does not exist. Addresses that `rules` refuse are left out: what a name's owner
// writes into DNS opens no private network. Event loop only.
class NameServer final : public net::EventHandler {
 public:
  NameServer(net::Loop& loop, net::Resolver& resolver, sandbox::NameSockets sockets,
             std::vector<HostTarget> allowed, std::vector<sandbox::EgressRule> rules);
  ~NameServer() override;
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;

  void on_event(std::uint32_t events) override;

 private:
  struct Asked {
    sockaddr_in from{};
    DnsQuestion question;
    net::Resolver::Ticket ticket = 0;
  };

  void read_questions();
  void handle(const sockaddr_in& from, DnsQuestion question);
  void answer(const Asked& asked, DnsCode code, const std::vector<DnsAddress>& addresses) const;
  void on_resolved(std::uint64_t number, const net::Resolution& resolution);
  // Those that may be told, and are admitted.
  Result<std::vector<DnsAddress>> admit(const std::string& name, const net::Resolution& resolution);

  net::Loop& loop_;
  net::Resolver& resolver_;
  const sandbox::NameSockets sockets_;
  const std::vector<HostTarget> allowed_;
  const std::vector<sandbox::EgressRule> rules_;
  std::map<std::uint64_t, Asked> asked_;
  std::uint64_t next_ = 1;
  TokenBucket allowance_;
  bool resting_ = false;
  net::Loop::TimerId rest_;
  bool told_full_ = false;
};

}  // namespace sterna::launch
