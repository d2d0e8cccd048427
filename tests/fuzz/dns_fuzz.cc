// A worker's question for a name, as its server reads it, and the answers that are made to it.
#include <algorithm>
#include <string>
#include <vector>

#include "base/host_pattern.h"
#include "base/ip_address.h"
#include "input.h"
#include "launch/dns_message.h"

namespace sterna::fuzz {
namespace {

constexpr std::uint8_t kResponseBit = 0x80;
constexpr std::size_t kFlags = 2;
constexpr std::size_t kAnswers = 7;  // the low byte of their number

void read_query(std::string_view packet, std::size_t addresses) {
  const auto question = launch::parse_dns_query(packet);
  if (!question) return;
  must(question->name == plain_host(question->name), "names are compared in one spelling");
  must(question->name.empty() || parse_host_target(question->name), "what is asked for is a host name");
  const auto of_family = parse_ip(question->type == launch::kDnsTypeAaaa ? "2001:db8::1" : "192.0.2.1");
  const std::vector<launch::DnsAddress> many(addresses, {.address = *of_family, .ttl_seconds = 60});
  std::string answer = launch::make_dns_answer(*question, launch::DnsCode::kNoError, many);
  must(answer.size() <= launch::kMaxDnsAnswer, "an answer fits a datagram");
  must(static_cast<std::uint8_t>(answer[kAnswers]) <= addresses, "an answer has what it was given");
  answer[kFlags] = static_cast<char>(static_cast<std::uint8_t>(answer[kFlags]) & ~kResponseBit);
  answer[kAnswers] = 0;
  const auto again = launch::parse_dns_query(answer);
  must(again && again->name == question->name && again->type == question->type && again->id == question->id,
       "an answer repeats its question");
}

}  // namespace
}  // namespace sterna::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = sterna::fuzz::text_of(data, size);
  const std::size_t addresses = sterna::fuzz::take_byte(rest) % 40;
  sterna::fuzz::read_query(rest, addresses);
  return 0;
}
