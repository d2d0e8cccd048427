#include "launch/dns_message.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace sterna::launch {
namespace {

using namespace std::string_literals;

const std::string kHead = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"s;

std::string question(const std::vector<std::string>& labels, char type = 1) {
  std::string bytes;
  for (const std::string& label : labels) bytes += static_cast<char>(label.size()) + label;
  return bytes + "\x00\x00"s + type + "\x00\x01"s;
}

IpAddress ip(std::string_view text) {
  return parse_ip(text).value_or(IpAddress{});
}

TEST(DnsQuery, IsOneQuestion) {
  const auto read = parse_dns_query(kHead + question({"Api", "example", "com"}, 28));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->id, 0x1234);
  EXPECT_EQ(read->name, "api.example.com");
  EXPECT_EQ(read->type, kDnsTypeAaaa);
  EXPECT_EQ(read->section, question({"Api", "example", "com"}, 28));
}

TEST(DnsQuery, MayHaveMoreBehindIt) {
  const std::string options = "\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"s;
  std::string head = kHead;
  head[11] = 1;
  EXPECT_EQ(parse_dns_query(head + question({"a", "b"}) + options)->name, "a.b");
}

TEST(DnsQuery, NamesThatAreNoHostsHaveNone) {
  for (const auto& labels : std::vector<std::vector<std::string>>{{},
                                                                  {"*", "example", "com"},
                                                                  {"a b", "c"},
                                                                  {"\xc3\xbc", "c"},
                                                                  {"10", "0", "0", "1"},
                                                                  {"a\0b"s, "c"}}) {
    const auto read = parse_dns_query(kHead + question(labels));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->name, "");
  }
}

TEST(DnsQuery, WhatIsNoneGetsNoAnswer) {
  const std::string good = kHead + question({"a", "b"});
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(parse_dns_query(good.substr(0, size))) << size;
  const auto with = [&](std::size_t at, char value) {
    std::string changed = good;
    changed[at] = value;
    return changed;
  };
  EXPECT_FALSE(parse_dns_query(with(2, '\x81')));  // an answer
  EXPECT_FALSE(parse_dns_query(with(2, '\x28')));  // an update
  EXPECT_FALSE(parse_dns_query(with(5, 2)));
  EXPECT_FALSE(parse_dns_query(with(5, 0)));
  EXPECT_FALSE(parse_dns_query(with(7, 1)));
  EXPECT_FALSE(parse_dns_query(with(12, '\xc0')));                // points elsewhere
  EXPECT_FALSE(parse_dns_query(with(12, '\x40')));                // a label too long
  EXPECT_FALSE(parse_dns_query(with(good.size() - 1, 3)));        // another class
  EXPECT_FALSE(parse_dns_query(kHead + question({"a.b", "c"})));  // a dot in a label
  std::vector<std::string> long_name(130, "a");
  EXPECT_FALSE(parse_dns_query(kHead + question(long_name)));
}

TEST(DnsAnswer, RepeatsTheQuestionAndHasTheAddresses) {
  const auto asked = parse_dns_query(kHead + question({"A", "b"}));
  ASSERT_TRUE(asked);
  const std::array addresses{DnsAddress{ip("203.0.114.7"), 300}};
  EXPECT_EQ(make_dns_answer(*asked, DnsCode::kNoError, addresses),
            "\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"s + question({"A", "b"}) +
                "\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xcb\x00\x72\x07"s);
  EXPECT_EQ(make_dns_answer(*asked, DnsCode::kNoName, {}),
            "\x12\x34\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00"s + question({"A", "b"}));
}

TEST(DnsAnswer, IsNeverTooLong) {
  const std::vector<std::string> longest{std::string(63, 'a'), std::string(63, 'b'), std::string(63, 'c'),
                                         std::string(61, 'd')};
  const auto asked = parse_dns_query(kHead + question(longest, 28));
  ASSERT_TRUE(asked);
  EXPECT_NE(asked->name, "");
  const std::vector<DnsAddress> many(16, DnsAddress{ip("2606:4700::1"), 1});
  const std::string answer = make_dns_answer(*asked, DnsCode::kNoError, many);
  EXPECT_LE(answer.size(), kMaxDnsAnswer);
  EXPECT_EQ(answer[7], 8);
}

}  // namespace
}  // namespace sterna::launch
