#include "launch/dns_message.h"

#include <algorithm>

#include "base/host_pattern.h"

namespace sterna::launch {
namespace {

constexpr std::size_t kHeaderBytes = 12;
constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxName = 255;
constexpr std::uint16_t kClassInternet = 1;
constexpr std::uint16_t kResponse = 0x8000;
constexpr std::uint16_t kRecursionAvailable = 0x0080;
constexpr std::uint16_t kKept = 0x0110;         // recursion desired, checking disabled
constexpr std::uint16_t kNotAQuery = 0xf800;    // a response, or another operation than a query
constexpr std::uint16_t kNameAsAsked = 0xc00c;  // a pointer to the question's name

std::uint16_t number_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 |
                                    static_cast<unsigned char>(bytes[at + 1]));
}

void add_number(std::string& out, std::uint16_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 0xff);
}

// Reads the labels at `at` and moves it behind them. False: not a whole name, or one that points elsewhere.
bool read_name(std::string_view packet, std::size_t& at, std::string& name) {
  while (at < packet.size()) {
    const auto length = static_cast<unsigned char>(packet[at++]);
    if (length == 0) return true;
    if (length > kMaxLabel || length > packet.size() - at || name.size() + length > kMaxName) return false;
    const std::string_view label = packet.substr(at, length);
    at += length;
    // A dot within a label would make another name of it.
    if (label.contains('.')) return false;
    if (!name.empty()) name += '.';
    name += label;
  }
  return false;
}

}  // namespace

std::optional<DnsQuestion> parse_dns_query(std::string_view packet) {
  if (packet.size() < kHeaderBytes) return std::nullopt;
  DnsQuestion question;
  question.id = number_at(packet, 0);
  question.flags = number_at(packet, 2);
  const std::uint16_t questions = number_at(packet, 4);
  const std::uint16_t answers = number_at(packet, 6);
  if ((question.flags & kNotAQuery) != 0 || questions != 1 || answers != 0) return std::nullopt;
  std::size_t at = kHeaderBytes;
  std::string name;
  if (!read_name(packet, at, name) || packet.size() - at < 4) return std::nullopt;
  question.type = number_at(packet, at);
  const std::uint16_t kind = number_at(packet, at + 2);
  if (kind != kClassInternet) return std::nullopt;
  question.section = packet.substr(kHeaderBytes, at + 4 - kHeaderBytes);
  const auto host = parse_host_pattern(name);
  if (host && host->reach == HostPattern::Reach::kItself) question.name = host->name;
  return question;
}

std::string make_dns_answer(const DnsQuestion& question, DnsCode code,
                            std::span<const DnsAddress> addresses) {
  const bool v6 = question.type == kDnsTypeAaaa;
  const std::size_t address_bytes = v6 ? 16 : 4;
  const std::size_t record_bytes = 12 + address_bytes;
  const std::size_t room = (kMaxDnsAnswer - kHeaderBytes - question.section.size()) / record_bytes;
  const auto records = addresses.first(std::min(addresses.size(), room));
  std::string out;
  add_number(out, question.id);
  add_number(out, static_cast<std::uint16_t>(kResponse | kRecursionAvailable | (question.flags & kKept) |
                                             static_cast<std::uint16_t>(code)));
  add_number(out, 1);
  add_number(out, static_cast<std::uint16_t>(records.size()));
  add_number(out, 0);
  add_number(out, 0);
  out += question.section;
  for (const DnsAddress& each : records) {
    add_number(out, kNameAsAsked);
    add_number(out, question.type);
    add_number(out, kClassInternet);
    add_number(out, static_cast<std::uint16_t>(each.ttl_seconds >> 16));
    add_number(out, static_cast<std::uint16_t>(each.ttl_seconds & 0xffff));
    add_number(out, static_cast<std::uint16_t>(address_bytes));
    const auto address = packet_bytes(each.address);
    out.append(reinterpret_cast<const char*>(address.data()), address.size());
  }
  return out;
}

}  // namespace sterna::launch
